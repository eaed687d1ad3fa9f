/** MQTT over TLS, and what WSS shares with it. */
import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { ClientCertificate } from '../../auth/identity.ts';
import type { ConnectionInfo } from '../connection.ts';
import { CertificateWatch, loadCertificate, type SecureOptions, type TlsOptions } from './certificate.ts';
import {
  closeServer,
  listen,
  type Address,
  type ListenerContext,
  type ListenerName,
  type Listening,
} from './listening.ts';
import { SOCKET_OPTIONS } from './tcp.ts';

export interface TlsListenerOptions extends Address {
  readonly tls: TlsOptions;
}

export async function startTls(options: TlsListenerOptions, context: ListenerContext): Promise<Listening> {
  const secure = await loadCertificate('mqtts', options.tls);
  const server = tls.createServer({
    ...secure,
    ...SOCKET_OPTIONS,
    handshakeTimeout: context.handshakeTimeoutMs,
    pauseOnConnect: false,
  });
  server.on('secureConnection', (socket) => context.handle(socket, secureInfo('mqtts', socket)));
  watchHandshakes(server, 'mqtts', context);
  const address = await listen(server, 'mqtts', options);
  return { name: 'mqtts', ...address, ...withReload(server, 'mqtts', options.tls, secure, context) };
}

/** The limit of connections counts sockets from the first byte on, and a failed handshake is reported. */
export function watchHandshakes(server: tls.Server, name: ListenerName, context: ListenerContext): void {
  server.prependListener('connection', (socket: Socket) => {
    context.gate.admit(socket);
  });
  server.on('tlsClientError', (error, socket) => {
    context.clientFault(name, socket.remoteAddress ?? '', error);
    socket.destroy();
  });
  server.on('error', (error) => context.fault(`listener ${name}`, error));
}

/** New connections get the certificate that the files hold now; those that are open keep theirs. */
export function withReload(
  server: tls.Server,
  name: ListenerName,
  options: TlsOptions,
  first: SecureOptions,
  context: ListenerContext,
): Required<Pick<Listening, 'close' | 'reloadCertificate'>> {
  let current = first;
  const reload = async (): Promise<boolean> => {
    try {
      const next = await loadCertificate(name, options);
      if (next.cert.equals(current.cert) && next.key.equals(current.key) && sameCa(next.ca, current.ca)) return true;
      server.setSecureContext(next);
      current = next;
      return true;
    } catch (error) {
      context.fault(`certificate of listener ${name}: the old one stays`, error);
      return false;
    }
  };
  const watch = new CertificateWatch(options, reload);
  return {
    reloadCertificate: reload,
    close: () => {
      watch.stop();
      return closeServer(server);
    },
  };
}

function sameCa(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined ? other === undefined : other !== undefined && one.equals(other);
}

export function secureInfo(listener: ListenerName, socket: tls.TLSSocket): ConnectionInfo {
  const info = { listener, remoteAddress: socket.remoteAddress ?? '', remotePort: socket.remotePort ?? 0 };
  // Only what an authority of ours has signed says who someone is; `optional` lets others in without.
  if (!socket.authorized) return info;
  // null where the socket is gone already, whatever the types say.
  const certificate = socket.getPeerCertificate() as tls.PeerCertificate | null;
  if (certificate?.subject === undefined) return info;
  const { fingerprint256, raw } = certificate;
  const subject = certificate.subject as unknown as ClientCertificate['subject'];
  return { ...info, certificate: { subject, fingerprint256, raw } };
}
