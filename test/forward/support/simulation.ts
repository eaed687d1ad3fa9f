import { FrameWriter, stampFrame } from '../../../src/buffer/frame.ts';
import { MemoryLogs } from '../../../src/buffer/memory/logs.ts';
import { MemoryStore } from '../../../src/buffer/memory/store.ts';
import { HotTail } from '../../../src/buffer/tail.ts';
import { SluiceError } from '../../../src/errors.ts';
import { Forwarder } from '../../../src/forward/forwarder.ts';
import type { ForwardOptions } from '../../../src/forward/options.ts';
import { randomFrom, type Random } from '../../support/random.ts';
import { KafkaModel, type ModelRecord } from './kafka-model.ts';
import { PlainMapper } from './plain-mapper.ts';
import { ProcessClock } from './process-clock.ts';
import { message, recordEvents, type Told } from './rig.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Steps before everything is mended. */
  readonly steps: number;
  /** Processes may die, stand still, lose their lease. */
  readonly crashes: boolean;
  /** Topics may be broken for long. */
  readonly outages: boolean;
  readonly processes: number;
  readonly options?: Partial<ForwardOptions>;
}

interface Process {
  readonly clock: ProcessClock;
  readonly store: MemoryStore;
  readonly forwarder: Forwarder;
  readonly told: Told[];
  readonly sequences: number[];
  logIds: string[];
}

interface Published {
  readonly client: string;
  readonly sequence: number;
  readonly topics: readonly string[];
}

const SHARDS = 2;
const TOPICS = ['a', 'b', 'a+b', 'c', 'a+c+b', 'none'];

/** Publishers, processes, a store and a Kafka, all in virtual time and all drawn from one seed. */
export class Simulation {
  readonly world = new VirtualClock();
  readonly random: Random;
  readonly logs = new MemoryLogs();
  readonly kafka: KafkaModel;
  readonly accepted = new Map<string, Published>();
  /** Every process that ran. */
  readonly all: Process[] = [];
  readonly #options: SimulationOptions;
  readonly #processes: Process[] = [];
  readonly #sequences = new Map<string, number>();
  readonly #drawn: Partial<ForwardOptions>;
  #storeFaultRate = 0;
  #calm = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.random = randomFrom(options.seed);
    this.kafka = new KafkaModel(this.random, this.world);
    for (const topic of ['a', 'b', 'c']) this.kafka.partitions.set(topic, 1 + this.random.int(4));
    this.kafka.partitions.set('dead', 1);
    this.#drawn = {
      parkAfterMs: this.random.pick([50, 300, 1_000]),
      parkingMaxBytes: this.random.pick([0, 600, 5_000, 1_000_000]),
      parkedWindowMaxBytes: this.random.pick([400, 100_000]),
      settleIntervalMs: this.random.pick([5, 40, 200]),
    };
  }

  async run(): Promise<void> {
    for (let at = 0; at < this.#options.processes; at++) await this.#startProcess();
    for (let step = 0; step < this.#options.steps; step++) await this.#step();
    // Everything is mended: what was accepted must come out.
    this.#calm = true;
    this.#storeFaultRate = 0;
    this.kafka.away = false;
    this.kafka.faultRate = 0;
    this.kafka.broken.clear();
    for (const process of this.#processes) process.clock.thaw();
    if (this.#processes.every(({ clock }) => clock.dead)) await this.#startProcess();
    await this.world.until(() => this.#settled, 300_000);
    for (const process of this.#processes) process.clock.kill();
    this.world.forget();
  }

  get #settled(): boolean {
    for (const { log } of this.logs.shards.values()) {
      if (log.settle.released < log.append.head || log.parked.size > 0) return false;
    }
    return true;
  }

  async #step(): Promise<void> {
    const { random, kafka } = this;
    const dice = random.int(100);
    if (dice < 55) await this.#publish();
    else if (dice < 85) await this.world.advance(random.int(60));
    else if (dice < 88) kafka.faultRate = random.pick([0, 0, 0.05, 0.3]);
    else if (dice < 90) this.#storeFaultRate = random.pick([0, 0, 0, 0.1, 0.5]);
    else if (dice < 92) kafka.away = random.next() < 0.4;
    else if (dice < 94) {
      const topic = random.pick(['a', 'b', 'c', 'dead']);
      if (kafka.broken.has(topic) || !this.#options.outages) kafka.broken.delete(topic);
      else kafka.broken.add(topic);
      await this.world.advance(random.int(2_000));
    } else if (dice < 95) kafka.setPartitions(random.pick(['a', 'b', 'c']), 1 + random.int(6));
    else if (this.#options.crashes) await this.#crash();
  }

  async #crash(): Promise<void> {
    const { random } = this;
    const process = random.pick(this.#processes);
    switch (random.int(4)) {
      case 0:
        process.clock.freeze();
        await this.world.advance(random.int(25_000));
        return;
      case 1:
        process.clock.thaw();
        return;
      case 2: {
        // Some other owner, for a moment.
        const { log } = this.logs.shards.get(random.int(SHARDS))!;
        log.leaseUntil = -Infinity;
        return;
      }
      default:
        process.clock.kill();
        await process.store.close();
        this.#processes.splice(this.#processes.indexOf(process), 1);
        if (random.next() < 0.5) await this.world.advance(random.int(12_000));
        // The store was restarted as well: it goes on under a new log id.
        if (this.#processes.length === 0 && random.next() < 0.5) this.logs.restart();
        await this.#startProcess();
    }
  }

  async #startProcess(): Promise<void> {
    const clock = new ProcessClock(this.world);
    const store = new MemoryStore({ shards: SHARDS, maxBytes: 1e9, logs: this.logs, now: this.world.now });
    const fail = (): void => {
      if (!this.#calm && this.random.next() < this.#storeFaultRate) throw new SluiceError('STORE_TIMEOUT', 'no answer');
    };
    const hang = (): Promise<void> =>
      new Promise((resolve) => void clock.setTimeout(resolve, this.random.int(this.#calm ? 2 : 10)));
    store.hooks.beforeRead = async () => {
      await hang();
      fail();
    };
    store.hooks.beforeSettle = async () => {
      await hang();
      fail();
    };
    store.hooks.afterSettle = async () => {
      await hang();
      fail();
    };
    const told: Told[] = [];
    const tail = new HotTail(3_000);
    const forwarder = new Forwarder({
      store,
      sink: this.kafka.connect(clock),
      mapper: new PlainMapper(),
      tail,
      options: {
        deadLetterTopic: 'dead',
        chunkMaxRecords: 5,
        windowMaxBytes: 6_000,
        readMaxBytes: 1_500,
        ...this.#drawn,
        ...this.#options.options,
      },
      events: recordEvents(told),
      clock,
      random: () => this.random.next(),
    });
    const opening = await store.open({
      appended: (shard) => clock.setImmediate(() => forwarder.appended(shard)),
      availability: () => undefined,
    });
    const process: Process = { clock, store, forwarder, told, sequences: [], logIds: [] };
    for (const { shard, epochs } of opening.shards) process.logIds[shard] = epochs.at(-1)!.logId;
    this.#processes.push(process);
    this.all.push(process);
    void forwarder.start();
  }

  async #publish(): Promise<void> {
    const { random } = this;
    const alive = this.#processes.filter(({ clock }) => !clock.frozen);
    if (alive.length === 0) return;
    const process = random.pick(alive);
    const shard = random.int(SHARDS);
    const writer = new FrameWriter();
    const published: Published[] = [];
    for (let count = 1 + random.int(6); count > 0; count--) {
      const client = `${shard}-${random.int(4)}`;
      const sequence = (this.#sequences.get(client) ?? 0) + 1;
      this.#sequences.set(client, sequence);
      const topic = random.pick(TOPICS);
      const poison = random.int(40) === 0 ? ' poison' : '';
      writer.add(message(client, topic, `${client}:${sequence}${poison}`));
      published.push({ client, sequence, topics: topic === 'none' ? [] : topic.split('+') });
    }
    const frame = writer.finish();
    const logId = process.logIds[shard]!;
    stampFrame(frame, logId);
    const count = published.length;
    const sequence = (process.sequences[shard] = (process.sequences[shard] ?? 0) + 1);
    const none = { qos2Add: [], qos2Remove: [], qos2Clear: [] };
    const outcome = await process.store.append({ shard, logId, sequence, frame, count, ...none });
    if (outcome.kind !== 'committed') throw new Error(`not committed: ${outcome.kind}`);
    published.forEach((each, at) => this.accepted.set(`${logId}:${shard}:${outcome.base + at}`, each));
    process.clock.setImmediate(() => process.forwarder.committed(shard, outcome.base, count, frame));
  }
}

export interface Verdict {
  readonly lost: readonly string[];
  readonly phantom: readonly string[];
  readonly disordered: readonly string[];
  readonly repeats: number;
  readonly deadLettered: number;
}

/** What Kafka holds against what was accepted. */
export function judge(accepted: ReadonlyMap<string, Published>, log: readonly ModelRecord[]): Verdict {
  const seen = new Set<string>();
  const dead = new Set<string>();
  const phantom: string[] = [];
  const disordered: string[] = [];
  const last = new Map<string, number>();
  let repeats = 0;
  for (const { topic, id } of log) {
    const published = accepted.get(id);
    if (published === undefined || (topic !== 'dead' && !published.topics.includes(topic))) {
      phantom.push(`${topic} ${id}`);
      continue;
    }
    if (topic === 'dead') {
      dead.add(id);
      continue;
    }
    const record = `${topic} ${id}`;
    if (seen.has(record)) {
      repeats++;
      continue;
    }
    seen.add(record);
    const stream = `${published.client} ${topic}`;
    if (published.sequence < (last.get(stream) ?? 0)) disordered.push(`${stream} ${published.sequence}`);
    last.set(stream, published.sequence);
  }
  const lost: string[] = [];
  for (const [id, { topics }] of accepted) {
    if (dead.has(id)) continue;
    for (const topic of topics) if (!seen.has(`${topic} ${id}`)) lost.push(`${topic} ${id}`);
    if (topics.length === 0) lost.push(`dead ${id}`);
  }
  return { lost, phantom, disordered, repeats, deadLettered: dead.size };
}
