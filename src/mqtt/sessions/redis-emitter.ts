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
 *     alone ──hello of another, or any doubt──> together ──PUBLISH reached one, and that was us──> alone
 *
 * In doubt is whose connection was lost, who got no answer, and who has not asked for long. The one that PUBLISH reached may
 * be another, when our own subscription is lost: it was us if that connection answers after it and was there before it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { serialize } from 'node:v8';
import type { Redis } from 'ioredis';
import type { EmittedPacket } from '../delivery/emitted-packet.ts';
import { LocalEmitter } from '../local-emitter.ts';
import { BusKind, BusWriter, readBusFrame, signal, type BusPacket } from './bus-frame.ts';

/** What waits to be sent while Redis is slow or away. Beyond it other processes miss messages, as while it is away. */
const PENDING_MAX_BYTES = 16 * 2 ** 20;
/** How long to wait for the welcome of processes that may be gone. */
const WELCOME_TIMEOUT_MS = 1_000;
/** Between two attempts to say hello after a connection was lost. */
const REJOIN_MS = 100;
/** How long one answer is believed: more than twice the interval of heartbeats. */
const ALONE_FOR_MS = 15_000;

export class RedisEmitter extends LocalEmitter {
  readonly #publisher: Redis;
  readonly #subscriber: Redis;
  readonly #channel: string;
  readonly #id: string;
  readonly #report: (where: string, error: unknown) => void;
  readonly #writer: BusWriter;
  readonly #wanted = (topic: string): boolean => !this.silent(topic);
  #aloneUntil = 0;
  /** How often the subscription was lost. */
  #losses = 0;
  #rejoining = false;
  /** That the last PUBLISH which reached one has reached us. */
  #proof: Promise<void> = Promise.resolve();
  #scheduled = false;
  #sending = false;
  #failing = false;
  /** Frames of other processes. */
  #heard = 0;
  #welcomes = 0;
  #welcomed: (() => void) | undefined;
  /** Messages that other processes did not get. */
  missed = 0;
  /** Told of what another process has changed in the store. */
  onChange: ((change: unknown) => void) | undefined;
  /** Changes of others may have been missed. */
  onGap: (() => void) | undefined;

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
    return performance.now() < this.#aloneUntil;
  }

  async join(): Promise<void> {
    this.#subscriber.on('messageBuffer', (_channel: Buffer, frame: Buffer) => this.#received(frame));
    this.#subscriber.on('close', () => {
      this.#losses++;
      this.#aloneUntil = 0;
    });
    this.#publisher.on('close', () => (this.#aloneUntil = 0));
    await this.#subscriber.subscribe(this.#channel);
    await this.#sayHello();
    this.#subscriber.on('ready', () => void this.#rejoin());
  }

  override emit(packet: EmittedPacket, done?: (error?: Error) => void): this {
    if (!this.closed && (!this.alone || isHeartbeat(packet.topic))) this.#send(packet);
    return super.emit(packet, done);
  }

  /** Other processes are to know of a change in the store. Those who come later read it there. */
  announce(change: object): void {
    if (this.closed || this.alone) return;
    this.#publisher
      .publish(this.#channel, Buffer.concat([signal(BusKind.change, this.#id), serialize(change)]))
      .catch((error: unknown) => this.#report('redis emitter', error));
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
    const [heard, losses, asked] = [this.#heard, this.#losses, performance.now()];
    const reached = await this.#publisher.publish(this.#channel, frame).catch((error: unknown) => {
      this.#aloneUntil = 0;
      throw error;
    });
    if (reached === 1) this.#proof = this.#prove(heard, losses, asked);
    else this.#aloneUntil = 0;
    return Math.max(0, reached - 1);
  }

  async #prove(heard: number, losses: number, asked: number): Promise<void> {
    try {
      await this.#subscriber.ping();
    } catch {
      return; // The connection was lost, which has told us all there is to know.
    }
    // Who has come since then has been heard: the answer is older than that.
    if (heard === this.#heard && losses === this.#losses) this.#aloneUntil = asked + ALONE_FOR_MS;
    else this.#aloneUntil = 0;
  }

  /** After the connection was lost ioredis subscribes again; others may have come, or thought us gone, meanwhile. */
  async #rejoin(): Promise<void> {
    if (this.#rejoining) return;
    this.#rejoining = true;
    let [told, losses] = [false, -1];
    while (losses !== this.#losses && !this.closed && this.#subscriber.status !== 'end') {
      const now = this.#losses;
      try {
        await this.#subscriber.subscribe(this.#channel);
        await this.#sayHello();
        losses = now;
      } catch (error) {
        if (!told) this.#report('redis emitter', error);
        told = true;
        await sleep(REJOIN_MS, undefined, { ref: false });
      }
    }
    this.#rejoining = false;
    this.onGap?.();
  }

  async #sayHello(): Promise<void> {
    this.#welcomes = 0;
    const others = await this.#tell(signal(BusKind.hello, this.#id));
    if (others === 0) await Promise.race([this.#proof, sleep(WELCOME_TIMEOUT_MS, undefined, { ref: false })]);
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
      const { kind, sender, packets, change } = readBusFrame(bytes, this.#wanted);
      if (sender === this.#id) return;
      this.#heard++;
      this.#aloneUntil = 0;
      for (const packet of packets) super.emit(packet);
      if (kind === BusKind.change) this.onChange?.(change);
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
