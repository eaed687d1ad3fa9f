import { expect } from 'vitest';
import { FrameWriter, stampFrame } from '../../../src/buffer/frame.ts';
import type { MemoryLogs } from '../../../src/buffer/memory/logs.ts';
import { MemoryStore } from '../../../src/buffer/memory/store.ts';
import type { BufferStore, ShardStats } from '../../../src/buffer/store.ts';
import { HotTail } from '../../../src/buffer/tail.ts';
import { Forwarder, type ForwarderParts } from '../../../src/forward/forwarder.ts';
import type { RecordMapper } from '../../../src/forward/intake.ts';
import type { ForwardEvents } from '../../../src/forward/events.ts';
import type { KafkaSink } from '../../../src/kafka/sink.ts';
import type { Message } from '../../../src/message.ts';
import { PlainMapper } from './plain-mapper.ts';
import { VirtualClock } from './virtual-clock.ts';

export function message(clientId: string, topic: string, payload: string | Buffer): Message {
  return {
    clientId,
    user: '',
    topic,
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    dup: false,
    origin: 0,
    receivedAt: 1_700_000_000_000,
    properties: undefined,
  };
}

/** Everything that was told, in order: [event, ...arguments]. */
export type Told = [name: keyof ForwardEvents, ...unknown[]];

export function recordEvents(told: Told[]): ForwardEvents {
  return new Proxy({} as ForwardEvents, {
    get:
      (_target, name: keyof ForwardEvents) =>
      (...parameters: unknown[]): void =>
        void told.push([name, ...parameters]),
  });
}

export interface RigOptions {
  readonly shards?: number;
  readonly options?: Partial<ForwarderParts['options']>;
  readonly tailMaxBytes?: number;
  readonly clock?: VirtualClock;
  /** In place of the rig's own. */
  readonly mapper?: RecordMapper;
  readonly logs?: MemoryLogs;
  /** Stands between forwarder and store. */
  readonly wrap?: (store: MemoryStore) => BufferStore;
}

/** One process: a memory store on logs that outlive it, and a forwarder, on a virtual clock. */
export class Rig {
  readonly clock: VirtualClock;
  readonly logs: MemoryLogs;
  readonly store: MemoryStore;
  readonly tail: HotTail;
  readonly mapper = new PlainMapper();
  readonly told: Told[] = [];
  readonly forwarder: Forwarder;
  readonly #sequence: number[] = [];
  readonly #logIds: string[] = [];

  private constructor(store: MemoryStore, sink: KafkaSink, options: RigOptions, clock: VirtualClock) {
    this.clock = clock;
    this.logs = store.logs;
    this.store = store;
    this.tail = new HotTail(options.tailMaxBytes ?? 16 * 1024 * 1024);
    this.forwarder = new Forwarder({
      store: options.wrap?.(store) ?? store,
      sink,
      mapper: options.mapper ?? this.mapper,
      tail: this.tail,
      options: { deadLetterTopic: 'dead', ...options.options },
      events: recordEvents(this.told),
      clock,
      random: () => 0.5,
    });
  }

  static async open(sink: KafkaSink, options: RigOptions = {}): Promise<Rig> {
    const clock = options.clock ?? new VirtualClock();
    const store = new MemoryStore({
      shards: options.shards ?? 1,
      maxBytes: 1e9,
      now: clock.now,
      ...(options.logs === undefined ? {} : { logs: options.logs }),
    });
    const rig = new Rig(store, sink, options, clock);
    const opening = await store.open({
      appended: (shard) => rig.forwarder.appended(shard),
      availability: () => undefined,
    });
    for (const { shard, epochs } of opening.shards) rig.#logIds[shard] = epochs.at(-1)!.logId;
    return rig;
  }

  static async started(sink: KafkaSink, options: RigOptions = {}): Promise<Rig> {
    const rig = await Rig.open(sink, options);
    await rig.forwarder.start();
    return rig;
  }

  /** Commits one frame. `tell`: the forwarder hears of it, as from this process. Gives its base. */
  async commit(shard: number, messages: readonly Message[], tell = true): Promise<number> {
    const writer = new FrameWriter();
    for (const each of messages) writer.add(each);
    const frame = writer.finish();
    const logId = this.#logIds[shard]!;
    stampFrame(frame, logId);
    const sequence = (this.#sequence[shard] = (this.#sequence[shard] ?? 0) + 1);
    const outcome = await this.store.append({
      shard,
      logId,
      sequence,
      frame,
      count: messages.length,
      qos2Add: [],
      qos2Remove: [],
      qos2Clear: [],
    });
    if (outcome.kind !== 'committed') throw new Error(`not committed: ${outcome.kind}`);
    if (tell) this.forwarder.committed(shard, outcome.base, messages.length, frame);
    return outcome.base;
  }

  /** `count` messages of one client, payloads from..from+count-1, in one frame. */
  async publish(clientId: string, topic: string, from: number, count: number, tell = true): Promise<number> {
    const messages = Array.from({ length: count }, (_, at) => message(clientId, topic, String(from + at)));
    return this.commit(0, messages, tell);
  }

  /** The process dies: nothing that it had armed happens. The next one works on the same logs. */
  crash(): void {
    this.clock.forget();
    void this.store.close();
  }

  /** All that was accepted is settled. */
  get settled(): boolean {
    for (const { log } of this.logs.shards.values()) if (log.settle.released < log.append.head) return false;
    return true;
  }

  async stats(shard = 0): Promise<ShardStats> {
    return this.store.stats(shard);
  }

  events(name: keyof ForwardEvents): unknown[][] {
    return this.told.filter(([told]) => told === name).map(([, ...parameters]) => parameters);
  }
}

/** accepted = buffered + delivered + dead-lettered + expired + discarded, for each shard. */
export function expectBalanced(logs: MemoryLogs): void {
  for (const { log } of logs.shards.values()) {
    const { delivered, deadLettered, expired, discarded } = log.settle.outcomes;
    const settled = delivered + deadLettered + expired + Object.values(discarded).reduce((sum, each) => sum + each, 0);
    const buffered = log.append.head - log.settle.released + log.parkedMessages();
    expect(settled + buffered, `ledger of shard ${log.shard}`).toBe(log.append.accepted);
  }
}

/** The real store, but what `intercept` names. */
export function intercepted(store: BufferStore, intercept: Partial<BufferStore>): BufferStore {
  return new Proxy(store, {
    get(target, name): unknown {
      if (Object.hasOwn(intercept, name)) return Reflect.get(intercept, name);
      const own: unknown = Reflect.get(target, name);
      return typeof own === 'function' ? (own.bind(target) as unknown) : own;
    },
  });
}
