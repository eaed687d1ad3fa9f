/**
 * All lanes of this process: deals records out to them, lets chunks go in beats, and pauses everything while the cluster is
 * away. A beat sends all lanes that have something, together, so that the sink can put their chunks into one request per broker:
 * at once where nothing was sent for a while, at most every lingerMs under load. A lane with a whole chunk does not wait for it.
 */
import type { KafkaFault, KafkaSink } from '../kafka/sink.ts';
import type { Clock } from './clock.ts';
import { ClusterGate, type ClusterGateEvents } from './cluster-gate.ts';
import type { LaneCounters, Refusal } from './lane-host.ts';
import type { Lane } from './lane.ts';
import type { MappedRecord } from './mapping.ts';
import type { ForwardOptions } from './options.ts';
import type { RecordOwner } from './open-messages.ts';
import { TopicLanes, type TopicHost } from './topic-lanes.ts';

export interface LanesEvents extends ClusterGateEvents {
  topicFault(topic: string, fault: KafkaFault): void;
  topicRecovered(topic: string, faultMs: number): void;
  chunkDelivered?(arrivedAt: number): void;
}

export interface LanesHost {
  readonly events: LanesEvents;
  /** Kafka will never take this record. */
  refuse(lane: Lane, record: MappedRecord, owner: RecordOwner, index: number, fault: KafkaFault): Refusal;
  /** A chunk of the lane came back unsent, and waits. */
  laneFailed(lane: Lane): void;
  /** A topic, or the cluster, can be written again or no longer. */
  writabilityChanged(): void;
  /** Something came to rest: whoever waits for an end looks again. */
  rested(): void;
}

export interface LaneStatus {
  readonly topic: string;
  readonly partition: number;
  /** Records, those in flight too. */
  readonly queued: number;
  readonly inFlight: number;
  readonly state: string;
  /** Arrival of the oldest record in it, milliseconds since the epoch. */
  readonly oldestAt: number | undefined;
  readonly lastError: string | undefined;
  /** How long the lane could not write. */
  readonly faultMs: number | undefined;
}

export interface TopicStatus {
  readonly topic: string;
  readonly partitions: number | undefined;
  /** Records that wait for the number of partitions. */
  readonly waiting: number;
  readonly lastError: string | undefined;
  readonly faultMs: number | undefined;
}

/** Idle topics are forgotten beyond this many: a route may make a topic per device. */
const IDLE_TOPICS_MAX = 10_000;

export class Lanes implements TopicHost {
  readonly sink: KafkaSink;
  readonly options: ForwardOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly gate: ClusterGate;
  readonly counters: LaneCounters = { chunks: 0, records: 0, requests: 0, retries: 0, faults: {} };
  stopping = false;
  readonly #host: LanesHost;
  readonly #topics = new Map<string, TopicLanes>();
  readonly #ready = new Set<Lane>();
  #last: TopicLanes | undefined;
  #forgetAt = IDLE_TOPICS_MAX;
  #lastBeatAt = -Infinity;
  #beatArmed = false;

  constructor(sink: KafkaSink, options: ForwardOptions, clock: Clock, random: () => number, host: LanesHost) {
    this.sink = sink;
    this.options = options;
    this.clock = clock;
    this.random = random;
    this.#host = host;
    const gateEvents: ClusterGateEvents = {
      clusterPaused: (reason, message) => host.events.clusterPaused(reason, message),
      clusterResumed: (pausedMs) => {
        host.events.clusterResumed(pausedMs);
        host.writabilityChanged();
        this.#arm();
      },
    };
    this.gate = new ClusterGate(options, clock, random, gateEvents, () => this.#nextReady());
    sink.onPartitionsChanged((topic, partitions) => this.#topics.get(topic)?.partitionsChanged(partitions));
  }

  /** Queues one record of message `index` of `owner`. */
  push(record: MappedRecord, owner: RecordOwner, index: number): void {
    if (!owner.admit(record, index)) return;
    const last = this.#last;
    const topic = last !== undefined && last.name === record.topic ? last : this.#topic(record.topic);
    topic.push(record, owner, index);
  }

  /** Ends a run of push(): what may go, goes. */
  flush(): void {
    if (this.#ready.size === 0 || !this.gate.open) return;
    if (this.clock.now() - this.#lastBeatAt >= this.options.lingerMs) this.#beat();
    else this.#arm();
  }

  /** The lease of some shard was renewed after a doubt: what stood still looks again. */
  wake(): void {
    for (const topic of this.#topics.values()) {
      for (const lane of topic.lanes)
        if (lane !== undefined && lane.state === 'idle' && !lane.empty) this.#ready.add(lane);
    }
    this.#arm();
  }

  /** What is pushed from now on waits, topic by topic, until what was pushed before is in Kafka. */
  drain(): void {
    for (const topic of this.#topics.values()) topic.drain();
  }

  /** Some ownership is lost: its records go, except those on the wire. */
  dropLost(): void {
    for (const topic of this.#topics.values()) topic.dropLost();
  }

  topic(name: string): TopicLanes | undefined {
    return this.#topics.get(name);
  }

  topics(): IterableIterator<TopicLanes> {
    return this.#topics.values();
  }

  /** No chunk is on the wire. */
  get resting(): boolean {
    for (const topic of this.#topics.values()) {
      for (const lane of topic.lanes) if (lane?.state === 'sending') return false;
    }
    return true;
  }

  /** Begins no chunk from now on. Those on the wire end. */
  stop(): void {
    this.stopping = true;
    this.gate.stop();
    for (const topic of this.#topics.values()) topic.stop();
  }

  laneReady(lane: Lane): void {
    this.#ready.add(lane);
    if (lane.full && this.gate.open) {
      this.#ready.delete(lane);
      lane.pump();
    } else {
      this.#arm();
    }
  }

  laneFault(lane: Lane, fault: KafkaFault | undefined): void {
    this.#topics.get(lane.topic)?.laneFault(lane, fault);
  }

  laneConfirmed(lane: Lane, arrivedAt: number): void {
    this.#host.events.chunkDelivered?.(arrivedAt);
    this.#topics.get(lane.topic)?.laneConfirmed();
  }

  laneFailed(lane: Lane): void {
    this.#host.laneFailed(lane);
  }

  laneRested(lane: Lane): void {
    this.#topics.get(lane.topic)?.drained();
    this.#host.rested();
  }

  topicFault(topic: TopicLanes, fault: KafkaFault | undefined): void {
    // At the end lanes are emptied unsent: that is no recovery.
    if (this.stopping) return;
    if (fault === undefined) this.#host.events.topicRecovered(topic.name, this.clock.now() - topic.faultSince);
    else this.#host.events.topicFault(topic.name, fault);
    this.#host.writabilityChanged();
  }

  refuse(lane: Lane, record: MappedRecord, owner: RecordOwner, index: number, fault: KafkaFault): Refusal {
    return this.#host.refuse(lane, record, owner, index, fault);
  }

  topicStatus(): TopicStatus[] {
    return [...this.#topics.values()].map((topic) => ({
      topic: topic.name,
      partitions: topic.partitions || undefined,
      waiting: topic.waiting.length,
      lastError: topic.fault?.message,
      faultMs: topic.fault === undefined ? undefined : this.clock.now() - topic.faultSince,
    }));
  }

  laneStatus(): LaneStatus[] {
    const status: LaneStatus[] = [];
    for (const topic of this.#topics.values()) {
      for (const lane of topic.lanes) {
        if (lane === undefined) continue;
        status.push({
          topic: lane.topic,
          partition: lane.partition,
          queued: lane.queue.length,
          inFlight: lane.inFlight,
          state: lane.state,
          oldestAt: lane.empty ? undefined : lane.queue.record(0).slice.timestamp,
          lastError: lane.fault?.message,
          faultMs: lane.fault === undefined ? undefined : this.clock.now() - lane.faultSince,
        });
      }
    }
    return status;
  }

  /** The lane that has waited longest to be sent. */
  #nextReady(): Lane | undefined {
    for (const lane of this.#ready) {
      this.#ready.delete(lane);
      if (lane.state === 'idle' && !lane.empty) return lane;
    }
    return undefined;
  }

  #topic(name: string): TopicLanes {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      if (this.#topics.size >= this.#forgetAt) this.#forgetIdle();
      topic = new TopicLanes(name, this);
      this.#topics.set(name, topic);
    }
    this.#last = topic;
    return topic;
  }

  #forgetIdle(): void {
    for (const topic of this.#topics.values()) if (topic.empty) this.#topics.delete(topic.name);
    this.#last = undefined;
    // Where most are busy, not looked at again for each new one.
    this.#forgetAt = Math.max(IDLE_TOPICS_MAX, 2 * this.#topics.size);
  }

  #arm(): void {
    if (this.#beatArmed || this.#ready.size === 0 || !this.gate.open || this.stopping) return;
    this.#beatArmed = true;
    const waitMs = this.#lastBeatAt + this.options.lingerMs - this.clock.now();
    if (waitMs <= 0) this.clock.setImmediate(this.#armedBeat);
    else this.clock.setTimeout(this.#armedBeat, waitMs);
  }

  readonly #armedBeat = (): void => {
    this.#beatArmed = false;
    this.#beat();
  };

  #beat(): void {
    if (!this.gate.open || this.stopping) return;
    this.#lastBeatAt = this.clock.now();
    const lanes = [...this.#ready];
    this.#ready.clear();
    for (const lane of lanes) {
      if (this.gate.open) lane.pump();
      else this.#ready.add(lane);
    }
  }
}
