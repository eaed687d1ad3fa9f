/** MQTT over WebSocket, with and without TLS (MQTT 5.0 §6, RFC 6455). */
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type tls from 'node:tls';
import { WebSocketServer } from 'ws';
import { loadCertificate } from './certificate.ts';
import { closeServer, listen, type Address, type ListenerContext, type Listening } from './listening.ts';
import { SOCKET_OPTIONS } from './tcp.ts';
import { secureInfo, watchHandshakes, withReload, type TlsListenerOptions } from './tls.ts';
import { WebSocketStream } from './websocket-stream.ts';

export interface WsListenerOptions extends Address {
  readonly path: string;
  /** Origins of web pages that may connect; '*': any. Clients that send no Origin always may. */
  readonly origins: readonly string[];
}
export type WssListenerOptions = WsListenerOptions & TlsListenerOptions;

/** [MQTT-6.0.0-3]; clients of MQTT 3.1 name the other one. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'] as const;
const MAX_HEADER_BYTES = 8 * 1024;
/** A frame may hold several packets, and parts of them [MQTT-6.0.0-2]. */
const FRAME_MARGIN_BYTES = 64 * 1024;
/** Of one message. Each is held with some hundred bytes of its own, however little is in it. */
const FRAGMENTS_MAX = 1_024;
/** A frame may come in pieces as small as this on average; each is held with some hundred bytes of its own, too. */
const PIECE_BYTES = 128;
/** What a client is told of HTTP that is none, by Node's code for it. */
const HTTP_FAULTS: Readonly<Record<string, readonly [status: number, reason: string]>> = {
  HPE_HEADER_OVERFLOW: [431, `the headers are longer than ${MAX_HEADER_BYTES} bytes`],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request did not come in time'],
};

export async function startWs(options: WsListenerOptions, context: ListenerContext): Promise<Listening> {
  const server = http.createServer(httpOptions(context));
  server.prependListener('connection', (socket) => context.gate.admit(socket));
  server.on('error', (error) => context.fault('listener ws', error));
  serve('ws', server, options, context);
  const address = await listen(server, 'ws', options);
  return { name: 'ws', ...address, path: options.path, close: () => closeServer(server) };
}

export async function startWss(options: WssListenerOptions, context: ListenerContext): Promise<Listening> {
  const secure = await loadCertificate('wss', options.tls);
  const server = https.createServer({
    ...httpOptions(context),
    ...secure,
    handshakeTimeout: context.handshakeTimeoutMs,
  });
  // https makes a 'clientError' of each failed handshake, too: it would be reported twice.
  server.removeAllListeners('tlsClientError');
  watchHandshakes(server, 'wss', options.tls, context);
  serve('wss', server, options, context);
  const address = await listen(server, 'wss', options);
  return { name: 'wss', ...address, path: options.path, ...withReload(server, 'wss', options.tls, secure, context) };
}

function httpOptions(context: ListenerContext): http.ServerOptions & typeof SOCKET_OPTIONS {
  return {
    ...SOCKET_OPTIONS,
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: context.handshakeTimeoutMs,
    requestTimeout: context.handshakeTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, context.handshakeTimeoutMs),
    keepAliveTimeout: 1,
  };
}

function serve(
  name: 'ws' | 'wss',
  server: http.Server | https.Server,
  options: WsListenerOptions,
  context: ListenerContext,
): void {
  const fail = failure(name, context);
  const open = upgrade(name, context);
  server.on('request', (request, response) => {
    response.writeHead(426, { connection: 'close', upgrade: 'websocket', 'content-type': 'text/plain' });
    response.end(`MQTT over WebSocket: ${options.path}\n`);
    request.resume();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const [status, reason] = HTTP_FAULTS[error.code ?? ''] ?? [400, `not HTTP: ${error.message}`];
    fail(socket, addressOf(socket), status, reason);
  });
  server.on('upgrade', (request, socket, head) => {
    const { remoteAddress = '' } = request.socket;
    const { origin } = request.headers;
    if (request.url?.split('?', 1)[0] !== options.path) {
      fail(socket, remoteAddress, 404, `no such path: MQTT is at ${options.path}`);
    } else if (origin !== undefined && !options.origins.includes('*') && !options.origins.includes(origin)) {
      fail(socket, remoteAddress, 403, `origin ${origin} may not connect`);
    } else {
      open(request, socket, head);
    }
  });
}

/** Makes an MQTT connection of a request for a WebSocket. */
export type Upgrade = (request: http.IncomingMessage, socket: Duplex, head: Buffer) => void;

/** For a server that has looked at path and origin. */
export function upgrade(name: 'ws' | 'wss', context: ListenerContext): Upgrade {
  const fail = failure(name, context);
  const messageMaxBytes = context.maxPacketSizeBytes + FRAME_MARGIN_BYTES;
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageMaxBytes,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: Math.ceil(messageMaxBytes / PIECE_BYTES),
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  webSockets.on('wsClientError', (error, socket) => fail(socket, addressOf(socket), 400, error.message));
  return (request, socket, head) => {
    const { remoteAddress = '', remotePort = 0 } = request.socket;
    // The upgrade takes the socket out of the server's hands, its error listener included.
    const onError = (error: Error): void => context.clientFault(name, remoteAddress, error);
    socket.on('error', onError);
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
    if (!SUBPROTOCOLS.some((each) => offered.includes(each))) {
      fail(socket, remoteAddress, 400, 'the subprotocol mqtt is missing');
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      socket.removeListener('error', onError);
      const info =
        name === 'wss'
          ? secureInfo(name, request.socket as tls.TLSSocket)
          : { listener: name, remoteAddress, remotePort };
      context.handle(new WebSocketStream(webSocket), info);
    });
  };
}

/** A server of HTTP has no other streams than sockets; one that is closed has no address any more. */
function addressOf(socket: Duplex): string {
  return (socket as Socket).remoteAddress ?? '';
}

function failure(name: 'ws' | 'wss', context: ListenerContext) {
  return (socket: Duplex, remoteAddress: string, status: number, reason: string): void => {
    context.clientFault(name, remoteAddress, new Error(reason));
    refuse(socket, status, reason);
  };
}

function refuse(socket: Duplex, status: number, reason: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  // Nobody else hears it: an upgrade takes the socket out of the server's hands.
  socket.on('error', () => socket.destroy());
  const body = `${reason}\n`;
  socket.once('finish', () => socket.destroy());
  socket.end(
    [
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`,
      'Connection: close',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
}
