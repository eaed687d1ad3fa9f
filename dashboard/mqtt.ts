/**
 * A small MQTT 5 client for the page: connect, subscribe at QoS 0, publish at QoS 0 and 1. It reconnects never by itself: a person
 * looks at it. Clauses are those of MQTT 5.0.
 */

export interface Received {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
  readonly retain: boolean;
}

export interface Login {
  readonly clientId: string;
  readonly user: string;
  readonly password: string;
}

export interface PublishOptions {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

const KEEP_ALIVE_S = 30;
const ANSWER_TIMEOUT_MS = 15_000;
/** What a person can look at; larger messages are not sent here [MQTT-3.1.2-24]. */
const PACKET_MAX_BYTES = 256 * 1024;

const TYPE = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  disconnect: 14,
} as const;

const reasons: Readonly<Record<number, string>> = {
  0x80: 'unspecified error',
  0x81: 'malformed packet',
  0x82: 'protocol error',
  0x83: 'refused by a rule of sluice',
  0x85: 'this client id is not allowed',
  0x86: 'wrong user name or password',
  0x87: 'not allowed by the access rules',
  0x88: 'sluice cannot take it now',
  0x8a: 'banned for a while after failed attempts',
  0x8b: 'sluice is shutting down',
  0x8d: 'keep alive timeout',
  0x8e: 'another client has connected with this client id',
  0x8f: 'not a valid topic filter',
  0x90: 'not a valid topic name',
  0x95: 'the packet is too large',
  0x97: 'quota exceeded',
  0x98: 'disconnected by an operator',
  0x99: 'the payload is not valid for its route',
  0x9a: 'retained messages are not supported',
};

function reasonText(code: number): string {
  return reasons[code] ?? `reason code 0x${code.toString(16)}`;
}

interface Waiting {
  resolve(code: number): void;
  reject(error: Error): void;
}

export class MqttClient {
  onMessage: (message: Received) => void = () => undefined;
  /** The connection has ended; why, in words. */
  onClose: (reason: string) => void = () => undefined;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, Waiting>();
  #rest: Uint8Array = new Uint8Array(0);
  #nextId = 1;
  #ping: ReturnType<typeof setInterval> | undefined;
  #ended = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => this.#take(new Uint8Array(data as ArrayBuffer)));
    socket.addEventListener('close', () => this.#end('the connection was closed'));
  }

  /** @throws Error with the reason */
  static async connect(login: Login, token: string): Promise<MqttClient> {
    const url = new URL('mqtt', document.baseURI);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';
    const protocols = token === '' ? ['mqtt'] : ['mqtt', `bearer.${base64url(token)}`];
    const client = new MqttClient(new WebSocket(url, protocols));
    await new Promise<void>((resolve, reject) => {
      client.#socket.addEventListener('open', () => resolve(), { once: true });
      client.#socket.addEventListener('error', () => reject(new Error('the WebSocket was refused')), { once: true });
    });
    const code = await client.#asked('connack', connectPacket(login));
    if (code >= 0x80) {
      client.close();
      throw new Error(reasonText(code));
    }
    client.#ping = setInterval(() => client.#send(Uint8Array.of(TYPE.pingreq << 4, 0)), (KEEP_ALIVE_S * 1_000) / 2);
    return client;
  }

  /** @throws Error with the reason */
  async subscribe(filter: string): Promise<void> {
    const id = this.#id();
    // No Local, so that what is published here is seen here: the flag stays off. QoS 0.
    const body = [...uint16(id), 0, ...text(filter), 0];
    const code = await this.#asked(`suback ${id}`, packet((TYPE.subscribe << 4) | 2, body));
    if (code >= 0x80) throw new Error(reasonText(code));
  }

  async unsubscribe(filter: string): Promise<void> {
    const id = this.#id();
    await this.#asked(`unsuback ${id}`, packet((TYPE.unsubscribe << 4) | 2, [...uint16(id), 0, ...text(filter)]));
  }

  /** QoS 1: resolves once it is acknowledged. @throws Error with the reason */
  async publish({ topic, payload, qos, retain }: PublishOptions): Promise<void> {
    const id = qos === 0 ? undefined : this.#id();
    const head = [...text(topic), ...(id === undefined ? [] : uint16(id)), 0];
    const bytes = packet((TYPE.publish << 4) | (qos << 1) | (retain ? 1 : 0), head, payload);
    if (id === undefined) {
      this.#send(bytes);
      return;
    }
    const code = await this.#asked(`puback ${id}`, bytes);
    if (code >= 0x80) throw new Error(reasonText(code));
  }

  close(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#send(Uint8Array.of(TYPE.disconnect << 4, 0));
    this.#socket.close();
    this.#end('disconnected');
  }

  #id(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff ? 1 : id + 1;
    return id;
  }

  #send(bytes: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
  }

  #asked(answer: string, bytes: Uint8Array): Promise<number> {
    if (this.#ended) return Promise.reject(new Error('not connected'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(answer);
        reject(new Error('no answer: sluice withholds it while it cannot take messages'));
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.set(answer, {
        resolve: (code) => {
          clearTimeout(timer);
          resolve(code);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#send(bytes);
    });
  }

  #answered(answer: string, code: number): void {
    this.#waiting.get(answer)?.resolve(code);
    this.#waiting.delete(answer);
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#ping);
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(reason));
    this.#waiting.clear();
    this.onClose(reason);
  }

  /** A WebSocket message may hold several packets, and parts of them [MQTT-6.0.0-2]. */
  #take(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.#rest.length + chunk.length);
    joined.set(this.#rest);
    joined.set(chunk, this.#rest.length);
    this.#rest = joined;
    for (;;) {
      const size = sizeOf(this.#rest);
      if (size === undefined || this.#rest.length < size.head + size.body) return;
      const body = this.#rest.subarray(size.head, size.head + size.body);
      const first = this.#rest[0] ?? 0;
      this.#rest = this.#rest.subarray(size.head + size.body);
      this.#packet(first >> 4, first & 0x0f, body);
    }
  }

  #packet(type: number, flags: number, body: Uint8Array): void {
    const id = ((body[0] ?? 0) << 8) | (body[1] ?? 0);
    switch (type) {
      case TYPE.connack:
        this.#answered('connack', body[1] ?? 0);
        return;
      case TYPE.suback:
        this.#answered(`suback ${id}`, body.at(-1) ?? 0);
        return;
      case TYPE.unsuback:
        this.#answered(`unsuback ${id}`, 0);
        return;
      case TYPE.puback:
        // Without a reason code it is success (§3.4.2.1).
        this.#answered(`puback ${id}`, body[2] ?? 0);
        return;
      case TYPE.disconnect:
        this.#end(reasonText(body[0] ?? 0));
        return;
      case TYPE.publish:
        this.#message(flags, body);
        return;
      default:
    }
  }

  #message(flags: number, body: Uint8Array): void {
    const length = ((body[0] ?? 0) << 8) | (body[1] ?? 0);
    const topic = new TextDecoder().decode(body.subarray(2, 2 + length));
    const qos = (flags >> 1) & 3;
    const behind = body.subarray(2 + length + (qos > 0 ? 2 : 0));
    const properties = variableInteger(behind, 0);
    if (properties === undefined) return;
    this.onMessage({
      topic,
      payload: behind.slice(properties.bytes + properties.value),
      qos,
      retain: (flags & 1) === 1,
    });
  }
}

function connectPacket({ clientId, user, password }: Login): Uint8Array {
  const flags = 0b10 | (user === '' ? 0 : 0x80) | (password === '' ? 0 : 0x40);
  const maximumPacketSize = [0x27, ...uint16(PACKET_MAX_BYTES >>> 16), ...uint16(PACKET_MAX_BYTES & 0xffff)];
  return packet(TYPE.connect << 4, [
    ...text('MQTT'),
    5,
    flags,
    ...uint16(KEEP_ALIVE_S),
    maximumPacketSize.length,
    ...maximumPacketSize,
    ...text(clientId),
    ...(user === '' ? [] : text(user)),
    ...(password === '' ? [] : text(password)),
  ]);
}

function packet(first: number, head: readonly number[], payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const length = encodedInteger(head.length + payload.length);
  const bytes = new Uint8Array(1 + length.length + head.length + payload.length);
  bytes.set([first, ...length, ...head]);
  bytes.set(payload, 1 + length.length + head.length);
  return bytes;
}

/** §1.5.5 */
function encodedInteger(value: number): number[] {
  const bytes: number[] = [];
  do {
    const digit = value % 128;
    value = Math.floor(value / 128);
    bytes.push(value > 0 ? digit | 0x80 : digit);
  } while (value > 0);
  return bytes;
}

function variableInteger(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly bytes: number } | undefined {
  let value = 0;
  for (let index = 0; index < 4; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 128 ** index;
    if ((byte & 0x80) === 0) return { value, bytes: index + 1 };
  }
  return undefined;
}

function sizeOf(bytes: Uint8Array): { readonly head: number; readonly body: number } | undefined {
  const length = variableInteger(bytes, 1);
  return length === undefined ? undefined : { head: 1 + length.bytes, body: length.value };
}

function uint16(value: number): [number, number] {
  return [value >> 8, value & 0xff];
}

/** §1.5.4 */
function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [...uint16(bytes.length), ...bytes];
}

function base64url(value: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(value));
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
