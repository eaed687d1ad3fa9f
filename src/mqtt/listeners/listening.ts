/** What all listeners have in common: binding a port, and saying what went wrong with it. */
import type { Server, AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorText, SluiceError } from '../../errors.ts';
import type { ConnectionInfo } from '../connection.ts';
import type { ConnectionGate } from './gate.ts';

export type ListenerName = ConnectionInfo['listener'];

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A listener that accepts connections. */
export interface Listening extends Address {
  readonly name: ListenerName;
  /** URL path of a WebSocket listener. */
  readonly path?: string;
  /** It takes connections now. */
  accepting(): boolean;
  /** Stops accepting; connections go on. */
  close(): Promise<void>;
  /** Reads the certificate files again, also when they look unchanged. false: the old certificate stays, for `fault` says why. */
  reloadCertificate?(): Promise<boolean>;
}

export type Handle = (stream: Duplex, info: ConnectionInfo) => void;

/** What a listener needs to know of its surroundings. */
export interface ListenerContext {
  readonly gate: ConnectionGate;
  readonly handle: Handle;
  /** TLS handshakes that a listener has under way at the same time, at most. */
  readonly handshakesMax: () => number;
  /** Time for a TLS or WebSocket handshake. */
  readonly handshakeTimeoutMs: number;
  readonly maxPacketSizeBytes: number;
  /** Something a client did before it spoke MQTT (a failed handshake, a wrong path): not worth an alarm. */
  readonly clientFault: (listener: ListenerName, remoteAddress: string, error: Error) => void;
  /** A listener has new revocation lists (PEM): connected clients may be named in them. */
  readonly revoked?: (listener: ListenerName, lists: Buffer) => void;
  /** Something of ours: a certificate that does not load. */
  readonly fault: (where: string, error: unknown) => void;
}

/** @throws SluiceError LISTENER_FAILED */
export async function listen(
  server: Server,
  name: ListenerName,
  { host, port }: Address,
): Promise<Address & Pick<Listening, 'accepting'>> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 1_024 }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  }).catch((error: unknown) => {
    throw bindError(name, host, port, error);
  });
  const address = server.address() as AddressInfo;
  return { host: address.address, port: address.port, accepting: () => server.listening };
}

function bindError(name: ListenerName, host: string, port: number, cause: unknown): SluiceError {
  const code = (cause as NodeJS.ErrnoException).code;
  const at = `listener ${name} cannot listen on ${host} port ${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return new SluiceError('LISTENER_FAILED', `${at}: another process uses it`, {
        cause,
        hint: `stop that process, or set listeners.${name}.port to a free one`,
      });
    case 'EACCES':
      return new SluiceError('LISTENER_FAILED', `${at}: not permitted`, {
        cause,
        hint: `ports below 1024 need a privilege (CAP_NET_BIND_SERVICE); or set listeners.${name}.port to a higher one`,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new SluiceError('LISTENER_FAILED', `${at}: this machine has no such address`, {
        cause,
        hint: `set listeners.${name}.host to an address of this machine, or to 0.0.0.0 for all`,
      });
    default:
      return new SluiceError('LISTENER_FAILED', `${at}: ${errorText(cause)}`, { cause });
  }
}

export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    // It calls back once the last connection is gone; that it accepts none is true from now on.
    setImmediate(resolve);
  });
}
