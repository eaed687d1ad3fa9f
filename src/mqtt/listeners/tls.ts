/** MQTT over TLS, and what WSS shares with it. */
import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { ClientCertificate } from '../../auth/identity.ts';
import type { ConnectionInfo } from '../connection.ts';
import { certificateFault } from './certificate-fault.ts';
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
  watchHandshakes(server, 'mqtts', options.tls, context);
  server.on('secureConnection', (socket) => {
    if (!socket.destroyed) context.handle(socket, secureInfo('mqtts', socket));
  });
  const address = await listen(server, 'mqtts', options);
  return { name: 'mqtts', ...address, ...withReload(server, 'mqtts', options.tls, secure, context) };
}

/** The limit of connections counts sockets from the first byte on, and a failed handshake is reported. */
export function watchHandshakes(
  server: tls.Server,
  name: ListenerName,
  { clientCertificate }: TlsOptions,
  context: ListenerContext,
): void {
  const handshaking = new Set<string>();
  const done = (socket: tls.TLSSocket): void => void handshaking.delete(endsOf(socket));
  server.prependListener('connection', (socket: Socket) => {
    if (!context.gate.admit(socket)) return;
    const ends = endsOf(socket);
    if (handshaking.size >= context.handshakesMax()) {
      context.clientFault(name, socket.remoteAddress ?? '', new Error('too many TLS handshakes at the same time'));
      socket.destroy();
      return;
    }
    handshaking.add(ends);
    socket.once('close', () => handshaking.delete(ends));
  });
  server.prependListener('secureConnection', done);
  server.on('tlsClientError', (error, socket) => {
    done(socket);
    context.clientFault(name, socket.remoteAddress ?? '', handshakeFault(error));
    socket.destroy();
  });
  // Before whoever takes the connection on. Done here and not by OpenSSL, so that the reason and the address can be told.
  server.prependListener('secureConnection', (socket) => {
    const why = certificateFault(socket, clientCertificate);
    if (why === undefined) return;
    context.clientFault(name, socket.remoteAddress ?? '', new Error(why));
    socket.destroy();
  });
  server.on('error', (error) => context.fault(`listener ${name}`, error));
}

/** The raw socket and its TLS socket have the same ends, and no way from the one to the other. */
function endsOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** In words for the log. What is wrong with a client certificate: see certificate-fault.ts. */
function handshakeFault(error: Error): Error {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') return new Error('no client certificate', { cause: error });
  if (code === 'ERR_SSL_HTTP_REQUEST' || code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return new Error(`plaintext on a TLS port, or another protocol (${code})`, { cause: error });
  if (code === 'ERR_SSL_UNSUPPORTED_PROTOCOL') return new Error(`an old version of TLS (${code})`, { cause: error });
  return error;
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
      if (sameFiles(next, current)) return true;
      server.setSecureContext(next);
      current = next;
      tellRevoked(name, next, context);
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

function sameFiles(one: SecureOptions, other: SecureOptions): boolean {
  return (['cert', 'key', 'ca', 'crl'] as const).every((field) => {
    const [mine, its] = [one[field], other[field]];
    return mine === undefined || its === undefined ? mine === its : mine.equals(its);
  });
}

function tellRevoked(name: ListenerName, { crl }: SecureOptions, context: ListenerContext): void {
  if (crl !== undefined) context.revoked?.(name, crl);
}

export function secureInfo(listener: ListenerName, socket: tls.TLSSocket): ConnectionInfo {
  const info = { listener, remoteAddress: socket.remoteAddress ?? '', remotePort: socket.remotePort ?? 0 };
  // Only what an authority of ours has signed says who someone is.
  if (!socket.authorized) return info;
  // null where the socket is gone already, whatever the types say.
  const certificate = socket.getPeerCertificate() as tls.PeerCertificate | null;
  if (certificate?.subject === undefined) return info;
  const { fingerprint256, raw } = certificate;
  const subject = certificate.subject as unknown as ClientCertificate['subject'];
  return { ...info, certificate: { subject, fingerprint256, raw } };
}
