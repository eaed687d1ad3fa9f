import type { Packet } from 'mqtt-packet';
import { eventually } from '../../support/eventually.ts';
import type { Qos, Version } from '../support/peer.ts';
import { RawClient } from '../support/raw-client.ts';
import { nameOf, type Event } from './history.ts';

interface InFlight {
  readonly number: number;
  readonly topic: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  /** PUBREC has come, PUBREL is due. */
  released: boolean;
}

export interface DeviceOptions {
  readonly name: string;
  readonly version: Version;
  /** Its session outlives its connections. */
  readonly lasting: boolean;
  readonly port: () => number;
  readonly record: (event: Event) => void;
}

/** Publishes of QoS 1 and 2 that a device has under way at once. */
const WINDOW = 8;
/** What a device of MQTT 5 takes at once. */
const RECEIVE_MAXIMUM = 10;
const CONNECT_TIMEOUT_MS = 20_000;

/** A device that keeps to the specification: it sends again what was not acknowledged, and takes a QoS 2 message once. */
export class Device {
  readonly name: string;
  readonly version: Version;
  readonly lasting: boolean;
  /** Answers nothing that comes. */
  deaf = false;
  readonly #options: DeviceOptions;
  readonly #waiting: { topic: string; qos: Qos; retain: boolean; number: number }[] = [];
  /** By packet id, in the order of sending. */
  readonly #inFlight = new Map<number, InFlight>();
  /** What came under a packet id that is not done with. */
  readonly #unfinished = new Map<number, string>();
  readonly #requests = new Map<number, (answered: boolean) => void>();
  #client: RawClient | undefined;
  #session = false;
  /** It ends the connection itself. */
  #leaving = false;
  #packetId = 0;
  #number = 0;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.name = options.name;
    this.version = options.version;
    this.lasting = options.lasting;
  }

  get connected(): boolean {
    return this.#client !== undefined && !this.#client.closed;
  }

  /** Nothing of it waits for the broker. */
  get idle(): boolean {
    return this.#waiting.length === 0 && this.#inFlight.size === 0;
  }

  /** What it waits for, for a complaint. */
  get unanswered(): string {
    const inFlight = [...this.#inFlight].map(
      ([id, { number, qos, released }]) => `${id}=${number} QoS ${qos}${released ? ' released' : ''}`,
    );
    return `${this.name}, ${this.connected ? 'connected' : 'not connected'}: ${inFlight.join(', ')}; ${this.#waiting.length} not sent`;
  }

  /** Takes the client id over from a connection that is still there. Tries again until the broker lets it in. */
  async connect(): Promise<void> {
    const end = performance.now() + CONNECT_TIMEOUT_MS;
    for (;;) {
      const failure = await this.#attempt().catch((error: Error) => error);
      if (failure === undefined) return;
      if (performance.now() > end) throw new Error(`${this.name} cannot connect: ${failure.message}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Sent once it is connected and the window has room. */
  publish(topic: string, qos: Qos, retain = false): void {
    this.#waiting.push({ topic, qos, retain, number: this.#number++ });
    this.#fill();
  }

  /** false: the connection ended before the answer. */
  subscribe(filter: string, qos: Qos): Promise<boolean> {
    const about = { device: this.name, filter };
    return this.#request(
      { kind: 'subscribing', ...about, qos },
      (messageId) => ({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] }),
      { kind: 'subscribed', ...about },
    );
  }

  unsubscribe(filter: string): Promise<boolean> {
    const about = { device: this.name, filter };
    return this.#request(
      { kind: 'unsubscribing', ...about },
      (messageId) => ({ cmd: 'unsubscribe', messageId, unsubscriptions: [filter] }),
      { kind: 'unsubscribed', ...about },
    );
  }

  async disconnect(): Promise<void> {
    const client = this.#client;
    if (client === undefined || client.closed) return;
    this.#leaving = true;
    client.send(this.version === 5 ? { cmd: 'disconnect', reasonCode: 0 } : { cmd: 'disconnect' });
    client.socket.end();
    await client.untilClosed();
  }

  /** The connection breaks. */
  async drop(): Promise<void> {
    const client = this.#client;
    if (client === undefined) return;
    this.#leaving = true;
    client.destroy();
    await client.untilClosed();
  }

  /** A round trip, if it is connected. */
  async ping(): Promise<void> {
    if (this.#client !== undefined && this.connected) await this.#client.ping();
  }

  async #attempt(): Promise<undefined> {
    const client = await RawClient.open(this.#options.port(), this.version);
    client.socket.once('close', () => this.#lost(client));
    // The broker may end the connection that this one takes over before it answers.
    this.#leaving = true;
    client.onPacket = (packet) => {
      if (packet.cmd === 'connack' && (packet.returnCode ?? packet.reasonCode) === 0)
        this.#begin(client, packet.sessionPresent);
    };
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: this.version,
      clientId: this.name,
      clean: !this.lasting,
      keepalive: 0,
      ...(this.version === 5
        ? { properties: { sessionExpiryInterval: this.lasting ? 3_600 : 0, receiveMaximum: RECEIVE_MAXIMUM } }
        : {}),
    });
    await eventually(() => client.closed || client === this.#client, CONNECT_TIMEOUT_MS, 'no CONNACK');
    if (client !== this.#client) throw new Error('refused');
    return undefined;
  }

  /** With the CONNACK: what comes behind it is ours already. */
  #begin(client: RawClient, sessionPresent: boolean): void {
    const { record } = this.#options;
    const old = this.#client;
    if (old !== undefined) {
      // What still comes over the connection that this one takes over is not read any more.
      old.onPacket = undefined;
      old.destroy();
      this.#end();
    }
    record({ kind: 'connected', device: this.name, expected: this.#session, sessionPresent });
    if (!sessionPresent) this.#forget();
    this.#session = this.lasting;
    this.#client = client;
    this.#leaving = false;
    client.onPacket = (packet) => this.#take(client, packet);
    for (const [messageId, { released, ...message }] of this.#inFlight) {
      // [MQTT-4.4.0-1]
      if (released) client.send({ cmd: 'pubrel', messageId });
      else this.#send(client, messageId, message, true);
    }
    this.#fill();
  }

  #lost(client: RawClient): void {
    if (client !== this.#client) return;
    if (!this.#leaving) {
      const reasonCode = client.of('disconnect')[0]?.reasonCode;
      this.#options.record({ kind: 'closed', device: this.name, reasonCode });
    }
    this.#client = undefined;
    this.#end();
  }

  /** The connection is over, and what was asked over it will not be answered. */
  #end(): void {
    for (const answer of this.#requests.values()) answer(false);
    this.#requests.clear();
    if (!this.lasting) this.#forget();
  }

  #forget(): void {
    const { record } = this.#options;
    for (const { number } of this.#inFlight.values()) record({ kind: 'abandoned', publisher: this.name, number });
    this.#inFlight.clear();
    this.#unfinished.clear();
    record({ kind: 'session ended', device: this.name });
  }

  #take(client: RawClient, packet: Packet): void {
    const { record } = this.#options;
    const messageId = packet.messageId ?? 0;
    switch (packet.cmd) {
      case 'publish': {
        const [publisher = '', number] = packet.payload.toString().split(':');
        const name = nameOf({ publisher, number: Number(number) });
        const { topic, qos, retain, dup } = packet;
        const again = qos > 0 && this.#unfinished.has(messageId);
        record({
          kind: 'delivered',
          device: this.name,
          publisher,
          number: Number(number),
          ...{ topic, qos, retain, dup, again },
        });
        if (qos === 2 || (qos === 1 && this.deaf)) this.#unfinished.set(messageId, name);
        if (qos === 0 || this.deaf) return;
        if (qos === 1) this.#unfinished.delete(messageId);
        client.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId });
        return;
      }
      case 'pubrel':
        if (this.deaf) return;
        this.#unfinished.delete(messageId);
        client.send({ cmd: 'pubcomp', messageId });
        return;
      case 'pubrec': {
        const message = this.#inFlight.get(messageId);
        if (message !== undefined) message.released = true;
        client.send({ cmd: 'pubrel', messageId });
        return;
      }
      case 'puback':
      case 'pubcomp': {
        const message = this.#inFlight.get(messageId);
        if (message === undefined) return;
        this.#inFlight.delete(messageId);
        record({ kind: 'acknowledged', publisher: this.name, number: message.number });
        this.#fill();
        return;
      }
      case 'suback':
      case 'unsuback':
        this.#requests.get(messageId)?.(true);
        this.#requests.delete(messageId);
        return;
      default:
        return;
    }
  }

  #fill(): void {
    const client = this.#client;
    if (client === undefined || client.closed) return;
    while (this.#waiting.length > 0 && this.#inFlight.size < WINDOW) {
      const message = this.#waiting.shift()!;
      const { number, qos, topic, retain } = message;
      this.#options.record({ kind: 'published', publisher: this.name, number, topic, qos, retain });
      const messageId = qos === 0 ? 0 : this.#nextId();
      if (qos > 0) this.#inFlight.set(messageId, { ...message, qos: qos as 1 | 2, released: false });
      this.#send(client, messageId, message, false);
    }
  }

  #send(
    client: RawClient,
    messageId: number,
    message: Omit<InFlight, 'qos' | 'released'> & { qos: Qos },
    dup: boolean,
  ): void {
    const { topic, qos, retain, number } = message;
    const payload = nameOf({ publisher: this.name, number });
    client.send({ cmd: 'publish', topic, payload, qos, retain, dup, ...(qos === 0 ? {} : { messageId }) });
  }

  async #request(asking: Event, packet: (messageId: number) => Packet, answered: Event): Promise<boolean> {
    const client = this.#client;
    if (client === undefined || client.closed) return false;
    const messageId = this.#nextId();
    this.#options.record(asking);
    const answer = new Promise<boolean>((resolve) =>
      this.#requests.set(messageId, (came) => {
        // At once, so that what comes behind it is recorded behind it.
        if (came) this.#options.record(answered);
        resolve(came);
      }),
    );
    client.send(packet(messageId));
    return answer;
  }

  #nextId(): number {
    do this.#packetId = (this.#packetId % 65_535) + 1;
    while (this.#inFlight.has(this.#packetId) || this.#requests.has(this.#packetId));
    return this.#packetId;
  }
}
