import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { eventually } from '../../support/eventually.ts';

export interface FrameOptions {
  readonly fin?: boolean;
  readonly opcode?: number;
  /** RSV1, RSV2, RSV3 as 0x40, 0x20, 0x10. */
  readonly reserved?: number;
  readonly masked?: boolean;
}

/** One frame of RFC 6455 §5.2, right or wrong. Binary, final and masked where nothing else is said. */
export function frame(payload: Buffer, options: FrameOptions = {}): Buffer {
  const { fin = true, opcode = 2, reserved = 0, masked = true } = options;
  const { length } = payload;
  const extended = length < 126 ? Buffer.of() : Buffer.alloc(length < 65_536 ? 2 : 8);
  if (extended.length === 2) extended.writeUInt16BE(length);
  else if (extended.length === 8) extended.writeBigUInt64BE(BigInt(length));
  const short = extended.length === 0 ? length : extended.length === 2 ? 126 : 127;
  const head = Buffer.of((fin ? 0x80 : 0) | reserved | opcode, (masked ? 0x80 : 0) | short);
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([head, extended, masked ? Buffer.alloc(4) : Buffer.of(), payload]);
}

/** A WebSocket client that no library of ours helps: it writes its HTTP and its frames by hand. */
export class RawWebSocket {
  readonly socket: net.Socket;
  #received = Buffer.alloc(0);
  closed = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (bytes) => (this.#received = Buffer.concat([this.#received, bytes])));
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
  }

  static async open(port: number): Promise<RawWebSocket> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new RawWebSocket(socket);
  }

  /** After 101. */
  static async upgraded(port: number, headers: Readonly<Record<string, string>> = {}): Promise<RawWebSocket> {
    const client = await RawWebSocket.open(port);
    client.request(headers);
    await eventually(() => client.head !== '' || client.closed, 5_000, 'no answer to the upgrade');
    if (!client.head.startsWith('HTTP/1.1 101')) throw new Error(client.head);
    return client;
  }

  request(headers: Readonly<Record<string, string>> = {}, line = 'GET /mqtt HTTP/1.1'): void {
    const all = {
      Host: '127.0.0.1',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Protocol': 'mqtt',
      ...headers,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
    this.socket.write([line, ...lines, '', ''].join('\r\n'));
  }

  write(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Of the HTTP answer; '' until it is whole. */
  get head(): string {
    const end = this.#received.indexOf('\r\n\r\n');
    return end < 0 ? '' : this.#received.subarray(0, end).toString('latin1');
  }

  /** What came behind it. */
  get body(): Buffer {
    const end = this.#received.indexOf('\r\n\r\n');
    return end < 0 ? Buffer.alloc(0) : this.#received.subarray(end + 4);
  }

  /** Status of the close frame (§5.5.1), where the server has sent one. */
  get closeCode(): number | undefined {
    for (let at = 0; at + 2 <= this.body.length;) {
      const opcode = (this.body[at] ?? 0) & 0x0f;
      const short = (this.body[at + 1] ?? 0) & 0x7f;
      const start = at + 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
      if (opcode === 8) return this.body.readUInt16BE(start);
      at = start + (short === 126 ? this.body.readUInt16BE(at + 2) : short);
    }
    return undefined;
  }

  async untilClosed(timeoutMs = 5_000): Promise<void> {
    await eventually(() => this.closed, timeoutMs, 'the connection stays open');
  }
}
