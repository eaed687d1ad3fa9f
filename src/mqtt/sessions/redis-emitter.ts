/**
 * The emitter of several processes: what one publishes, the subscribers of all get, over one Redis channel. It stands in for
 * mqemitter-redis, which costs one PUBLISH and about 18 us of CPU for every message, whether anyone listens or not (measured;
 * all else that sluice does to a message took 5 us).
 *
 * - Listeners of this process are told at once, without Redis.
 * - For other processes the messages of a turn, and those that come while a PUBLISH is under way, go as one.
 * - As long as there is no other process nothing is sent at all. PUBLISH answers how many it reached; aedes' heartbeat asks
 *   often enough. A process that comes says hello, and accepts clients once all others have bidden it welcome:
 *
 *     alone ──hello of another, or PUBLISH reached more than us──> together ──PUBLISH reached us only──> alone
 */
import type { Redis } from 'ioredis';
import { LocalEmitter, type EmittedPacket } from '../local-emitter.ts';
import { BusKind, BusWriter, readBusFrame, signal, type BusPacket } from './bus-frame.ts';

/** What waits to be sent while Redis is slow or away. Beyond it other processes miss messages, as while it is away. */
const PENDING_MAX_BYTES = 16 * 2 ** 20;
/** How long to wait for the welcome of processes that may be gone. */
const WELCOME_TIMEOUT_MS = 1_000;

export class RedisEmitter extends LocalEmitter {
  readonly #publisher: Redis;
  readonly #subscriber: Redis;
  readonly #channel: string;
  readonly #id: string;
  readonly #report: (where: string, error: unknown) => void;
  readonly #writer: BusWriter;
  readonly #wanted = (topic: string): boolean => !this.silent(topic);
  #alone = false;
  #scheduled = false;
  #sending = false;
  #failing = false;
  /** Frames of other processes. */
  #heard = 0;
  #welcomes = 0;
  #welcomed: (() => void) | undefined;
  /** Messages that other processes did not get. */
  missed = 0;

  constructor(
    connections: { readonly publisher: Redis; readonly subscriber: Redis },
    channel: string,
    id: string,
    report: (where: string, error: unknown) => void,
  ) {
    super((error) => report('delivery', error));
    this.#publisher = connections.publisher;
    this.#subscriber = connections.subscriber;
    this.#channel = channel;
    this.#id = id;
    this.#report = report;
    this.#writer = new BusWriter(id);
  }

  /** No other process of this namespace is there. */
  get alone(): boolean {
    return this.#alone;
  }

  async join(): Promise<void> {
    this.#subscriber.on('messageBuffer', (_channel: Buffer, frame: Buffer) => this.#received(frame));
    await this.#subscriber.subscribe(this.#channel);
    await this.#sayHello();
    this.#subscriber.on('ready', () => void this.#rejoin());
  }

  override emit(packet: EmittedPacket, done?: (error?: Error) => void): this {
    if (!this.closed && (!this.#alone || isHeartbeat(packet.topic))) this.#send(packet as BusPacket);
    return super.emit(packet, done);
  }

  #send(packet: BusPacket): void {
    if (this.#writer.bytes > PENDING_MAX_BYTES) {
      this.missed++;
      return;
    }
    this.#writer.add(packet);
    if (this.#scheduled || this.#sending) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#publish();
    });
  }

  async #publish(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#writer.bytes > 0 && !this.closed) {
      try {
        await this.#tell(this.#writer.finish());
        this.#failing = false;
      } catch (error) {
        // One report for an outage, not one for each turn of the event loop.
        if (!this.#failing) this.#report('redis emitter', error);
        this.#failing = true;
      }
    }
    this.#sending = false;
  }

  /** How many other processes it reached. */
  async #tell(frame: Buffer): Promise<number> {
    const heard = this.#heard;
    const others = (await this.#publisher.publish(this.#channel, frame)) - 1;
    // Who has come since then has been heard: the answer is older than that.
    if (others > 0) this.#alone = false;
    else if (heard === this.#heard) this.#alone = true;
    return others;
  }

  /** After the connection was lost ioredis subscribes again; others may have thought us gone meanwhile. */
  async #rejoin(): Promise<void> {
    try {
      await this.#subscriber.subscribe(this.#channel);
      await this.#sayHello();
    } catch (error) {
      this.#report('redis emitter', error);
    }
  }

  async #sayHello(): Promise<void> {
    this.#welcomes = 0;
    const others = await this.#tell(signal(BusKind.hello, this.#id));
    if (this.#welcomes >= others) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, WELCOME_TIMEOUT_MS);
      this.#welcomed = () => {
        if (this.#welcomes < others) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#welcomed = undefined;
  }

  #received(bytes: Buffer): void {
    if (this.closed) return;
    try {
      const { kind, sender, packets } = readBusFrame(bytes, this.#wanted);
      if (sender === this.#id) return;
      this.#heard++;
      this.#alone = false;
      for (const packet of packets) super.emit(packet);
      if (kind === BusKind.hello) {
        this.#publisher.publish(this.#channel, signal(BusKind.welcome, this.#id)).catch((error: unknown) => {
          this.#report('redis emitter', error);
        });
      } else if (kind === BusKind.welcome) {
        this.#welcomes++;
        this.#welcomed?.();
      }
    } catch (error) {
      this.#report('redis emitter', error);
    }
  }
}

function isHeartbeat(topic: string): boolean {
  return topic.startsWith('$SYS/') && topic.endsWith('/heartbeat');
}
