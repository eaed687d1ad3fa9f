import type { IConnackPacket, IConnectPacket, IPublishPacket, ISubscription, Packet } from 'mqtt-packet';
import { eventually } from '../../support/eventually.ts';
import { RawClient } from './raw-client.ts';

export type Version = 4 | 5;
export type Qos = 0 | 1 | 2;
export type PublishProperties = NonNullable<IPublishPacket['properties']>;

export interface PeerOptions {
  readonly version?: Version;
  readonly clientId?: string;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly will?: IConnectPacket['will'];
  readonly properties?: IConnectPacket['properties'];
  /** Set to false to answer no PUBLISH. */
  readonly acknowledges?: boolean;
}

export interface PublishOptions {
  readonly qos?: Qos;
  readonly retain?: boolean;
  readonly dup?: boolean;
  readonly messageId?: number;
  readonly properties?: PublishProperties;
}

/** A message as it came, with what a test of the specification looks at. */
export interface Arrived {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly messageId: number | undefined;
  readonly properties: PublishProperties;
}

/** A client that does its part of every handshake, and nothing else: no reconnecting, no resending. */
export class Peer {
  readonly raw: RawClient;
  readonly version: Version;
  readonly messages: Arrived[] = [];
  acknowledges: boolean;
  #nextId = 1;

  private constructor(raw: RawClient, acknowledges: boolean) {
    this.raw = raw;
    this.version = raw.version;
    this.acknowledges = acknowledges;
    raw.onPacket = (packet) => this.#take(packet);
  }

  /** A connection that has sent nothing yet. */
  static async open(port: number, options: Pick<PeerOptions, 'version' | 'acknowledges'> = {}): Promise<Peer> {
    return new Peer(await RawClient.open(port, options.version ?? 4), options.acknowledges ?? true);
  }

  /** Sends CONNECT and waits for the answer, whatever it is: CONNACK or the end of the connection. */
  static async connect(port: number, options: PeerOptions = {}): Promise<Peer> {
    const { clientId = '', clean = true, keepalive = 0, will, properties } = options;
    const peer = await Peer.open(port, options);
    peer.raw.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: peer.version,
      clientId,
      clean,
      keepalive,
      ...(will === undefined ? {} : { will }),
      ...(properties === undefined ? {} : { properties }),
    });
    await peer.#until(() => peer.raw.of('connack').length > 0 || peer.raw.closed, 'CONNACK');
    return peer;
  }

  get connack(): IConnackPacket {
    const [connack] = this.raw.of('connack');
    if (connack === undefined) throw new Error('closed without CONNACK');
    return connack;
  }

  /** Return code of MQTT 3.1.1, reason code of MQTT 5. */
  get connectCode(): number {
    return this.connack.returnCode ?? this.connack.reasonCode ?? 0;
  }

  get closed(): boolean {
    return this.raw.closed;
  }

  /** Reason code of the server's DISCONNECT. */
  get farewell(): number | undefined {
    return this.raw.of('disconnect')[0]?.reasonCode;
  }

  nextId(): number {
    return this.#nextId++;
  }

  /** Resolves with the codes of the SUBACK. */
  async subscribe(
    subscriptions: string | readonly ISubscription[],
    options: { qos?: Qos; identifier?: number } = {},
  ): Promise<number[]> {
    const messageId = this.nextId();
    const list =
      typeof subscriptions === 'string' ? [{ topic: subscriptions, qos: options.qos ?? 2 }] : [...subscriptions];
    this.raw.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: list,
      ...(options.identifier === undefined ? {} : { properties: { subscriptionIdentifier: options.identifier } }),
    });
    const { granted } = await this.#answer('suback', messageId);
    return granted as number[];
  }

  async unsubscribe(...filters: string[]): Promise<number[]> {
    const messageId = this.nextId();
    this.raw.send({ cmd: 'unsubscribe', messageId, unsubscriptions: filters });
    // Without codes in MQTT 3.1.1.
    return (await this.#answer('unsuback', messageId)).granted ?? [];
  }

  /** Sends it, and for QoS 1 and 2 resolves once the handshake is over, with the first reason code. */
  async publish(topic: string, payload: string, options: PublishOptions = {}): Promise<number> {
    const messageId = this.send(topic, payload, options);
    if (messageId === undefined) return 0;
    if (options.qos === 1) return (await this.#answer('puback', messageId)).reasonCode ?? 0;
    const { reasonCode = 0 } = await this.#answer('pubrec', messageId);
    if (reasonCode < 0x80) await this.#answer('pubcomp', messageId);
    return reasonCode;
  }

  /** Sends it and waits for nothing; its packet id, for QoS 1 and 2. */
  send(topic: string, payload: string, options: PublishOptions = {}): number | undefined {
    const { qos = 0, retain = false, dup = false, properties } = options;
    const messageId = qos === 0 ? undefined : (options.messageId ?? this.nextId());
    this.raw.send({
      cmd: 'publish',
      topic,
      payload,
      qos,
      retain,
      dup,
      ...(messageId === undefined ? {} : { messageId }),
      ...(properties === undefined ? {} : { properties }),
    });
    return messageId;
  }

  /** DISCONNECT, and the end of the connection from the other side or ours. */
  async disconnect(options: { reasonCode?: number; sessionExpiryInterval?: number } = {}): Promise<void> {
    const { reasonCode = 0, sessionExpiryInterval } = options;
    this.raw.send({
      cmd: 'disconnect',
      ...(this.version === 5 ? { reasonCode } : {}),
      ...(sessionExpiryInterval === undefined ? {} : { properties: { sessionExpiryInterval } }),
    });
    this.raw.socket.end();
    await this.untilClosed();
  }

  /** The connection breaks, without DISCONNECT. */
  async terminate(): Promise<void> {
    this.raw.destroy();
    await this.untilClosed();
  }

  async untilClosed(timeoutMs = 10_000): Promise<void> {
    await this.#until(() => this.raw.closed, 'the end of the connection', timeoutMs);
  }

  async untilMessages(count: number, timeoutMs = 10_000): Promise<void> {
    await this.#until(() => this.messages.length >= count, `${count} messages`, timeoutMs);
  }

  /** Payloads of what came on topics that begin so. */
  payloads(prefix = ''): string[] {
    return this.messages.filter(({ topic }) => topic.startsWith(prefix)).map(({ payload }) => payload);
  }

  #take(packet: Packet): void {
    const messageId = packet.messageId ?? 0;
    switch (packet.cmd) {
      case 'publish':
        this.messages.push({
          topic: packet.topic,
          payload: packet.payload.toString(),
          qos: packet.qos,
          retain: packet.retain,
          dup: packet.dup,
          messageId: packet.messageId,
          properties: packet.properties ?? {},
        });
        if (packet.qos > 0 && this.acknowledges)
          this.raw.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId });
        break;
      case 'pubrel':
        if (this.acknowledges) this.raw.send({ cmd: 'pubcomp', messageId });
        break;
      case 'pubrec':
        if ((packet.reasonCode ?? 0) < 0x80) this.raw.send({ cmd: 'pubrel', messageId });
        break;
      default:
        break;
    }
  }

  async #answer<Cmd extends 'suback' | 'unsuback' | 'puback' | 'pubrec' | 'pubcomp'>(
    cmd: Cmd,
    messageId: number,
  ): Promise<Extract<Packet, { cmd: Cmd }>> {
    const find = (): Extract<Packet, { cmd: Cmd }> | undefined =>
      this.raw.received.find(
        (packet): packet is Extract<Packet, { cmd: Cmd }> => packet.cmd === cmd && packet.messageId === messageId,
      );
    await this.#until(() => find() !== undefined || this.raw.closed, `${cmd} ${messageId}`);
    const answer = find();
    if (answer === undefined) throw new Error(`closed without ${cmd} ${messageId}: ${this.#story()}`);
    return answer;
  }

  #until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
    return eventually(condition, timeoutMs, () => `no ${what}: ${this.#story()}`);
  }

  #story(): string {
    return JSON.stringify(this.raw.received.slice(-20));
  }
}
