/** MQTT over TCP. */
import net from 'node:net';
import { closeServer, listen, type Address, type ListenerContext, type Listening } from './listening.ts';

export type TcpListenerOptions = Address;

/** Answers are small and wanted at once; dead peers are found in time even where a client has no keep alive. */
export const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const;

export async function startTcp(options: TcpListenerOptions, context: ListenerContext): Promise<Listening> {
  const server = net.createServer(SOCKET_OPTIONS, (socket) => {
    if (!context.gate.admit(socket)) return;
    context.handle(socket, {
      listener: 'mqtt',
      remoteAddress: socket.remoteAddress ?? '',
      remotePort: socket.remotePort ?? 0,
    });
  });
  const address = await listen(server, 'mqtt', options);
  server.on('error', (error) => context.fault('listener mqtt', error));
  return { name: 'mqtt', ...address, close: () => closeServer(server) };
}
