/**
 * The idempotent producer's numbers (KIP-98), one sequence per partition, of our own:
 *
 * - a chunk keeps producer id, epoch and base sequence through all its attempts, so that the broker recognises it;
 * - the sequence moves on when the chunk is confirmed, and only then;
 * - where the chunk is given up, or the broker lost track, the partition takes a producer id that it never had and begins
 *   at 0. A sequence is never used for other records under the same id: the broker would take them for written.
 */
import { NO_PRODUCER, stampBatch } from './batch.ts';
import type { Chunk } from './sink.ts';

export interface ProducerIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
}

/** For brokers that do not let us be idempotent. */
export const NOT_IDEMPOTENT: ProducerIdentity = NO_PRODUCER;

/** An encoded batch and what became of it so far. */
export class EncodedChunk implements Chunk {
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  readonly batch: Buffer;
  /** undefined: not stamped yet. */
  producer: ProducerIdentity | undefined;
  baseSequence = -1;
  /** It was sent under this producer and sequence, and may have been written. */
  doubtful = false;
  /** How often the broker found it corrupt. */
  corruptions = 0;

  constructor(topic: string, partition: number, count: number, batch: Buffer) {
    this.topic = topic;
    this.partition = partition;
    this.count = count;
    this.batch = batch;
  }

  get bytes(): number {
    return this.batch.length;
  }
}

interface PartitionState {
  producer: ProducerIdentity | undefined;
  /** The last identity it had: never taken again. */
  former: ProducerIdentity | undefined;
  nextSequence: number;
  /** The chunk that took nextSequence and whose outcome is not known. */
  pending: EncodedChunk | undefined;
}

/** Sequences go from 0 to 2^31 - 1 and begin again. */
export function sequenceAfter(sequence: number, count: number): number {
  const next = sequence + count;
  return next >= 2 ** 31 ? next - 2 ** 31 : next;
}

export class Sequences {
  readonly #init: () => Promise<ProducerIdentity>;
  readonly #topics = new Map<string, (PartitionState | undefined)[]>();
  #newest: ProducerIdentity | undefined;
  #asking: Promise<ProducerIdentity> | undefined;

  /** @param init InitProducerId: an id that nobody ever had, or NOT_IDEMPOTENT */
  constructor(init: () => Promise<ProducerIdentity>) {
    this.#init = init;
  }

  /** Makes a chunk ready to be sent: stamped, with the stamp it had if it was sent before. undefined: it is. */
  stamp(chunk: EncodedChunk): Promise<void> | undefined {
    const state = this.#stateOf(chunk);
    // Another chunk stands in its place: the one that did is given up, whether abandon() was called or not.
    if (state.pending !== undefined && state.pending !== chunk) this.#renew(state);
    state.pending = chunk;
    const stamped = chunk.producer !== undefined && chunk.producer === state.producer;
    if (stamped && (chunk.producer === NOT_IDEMPOTENT || chunk.baseSequence === state.nextSequence)) return undefined;
    if (state.producer === undefined) {
      const newest = this.#newest;
      if (newest === undefined || newest === state.former) return this.#stampWithNew(chunk, state);
      state.producer = newest;
    }
    this.#write(chunk, state.producer, state);
    return undefined;
  }

  /** It is written: the partition moves on. */
  confirmed(chunk: EncodedChunk): void {
    const state = this.#stateOf(chunk);
    // It was abandoned while it was under way.
    if (state.pending !== chunk || state.producer !== chunk.producer) return;
    state.pending = undefined;
    if (state.producer !== NOT_IDEMPOTENT) state.nextSequence = sequenceAfter(state.nextSequence, chunk.count);
  }

  /** It is certainly not written, by this attempt, and will not be sent again. */
  refused(chunk: EncodedChunk): void {
    const state = this.#stateOf(chunk);
    if (state.pending !== chunk) return;
    state.pending = undefined;
    if (chunk.doubtful) this.#renew(state);
  }

  /** Nobody sends it any more, or the broker will not take its stamp: begin anew with another producer id. */
  renew(chunk: EncodedChunk): void {
    const state = this.#stateOf(chunk);
    if (state.pending === chunk) this.#renew(state);
    chunk.producer = undefined;
    chunk.doubtful = false;
  }

  /** No id holds any more: another cluster, or one that does not let us be idempotent. */
  reset(): void {
    this.#newest = undefined;
    this.#asking = undefined;
    for (const states of this.#topics.values()) for (const state of states) if (state !== undefined) this.#renew(state);
  }

  #renew(state: PartitionState): void {
    state.former = state.producer ?? state.former;
    state.producer = undefined;
    state.nextSequence = 0;
    state.pending = undefined;
  }

  async #stampWithNew(chunk: EncodedChunk, state: PartitionState): Promise<void> {
    // Partitions that wait at the same time share one: each of them begins at 0 with it.
    const asked = (this.#asking ??= this.#init());
    let producer: ProducerIdentity;
    try {
      producer = await asked;
    } finally {
      if (this.#asking === asked) this.#asking = undefined;
    }
    // Given up, or asked of a cluster that is another one now.
    if (state.pending !== chunk) return;
    this.#newest = producer;
    state.producer = producer;
    this.#write(chunk, producer, state);
  }

  #write(chunk: EncodedChunk, producer: ProducerIdentity, state: PartitionState): void {
    chunk.producer = producer;
    chunk.baseSequence = producer === NOT_IDEMPOTENT ? -1 : state.nextSequence;
    chunk.doubtful = false;
    stampBatch(chunk.batch, { ...producer, baseSequence: chunk.baseSequence });
  }

  #stateOf({ topic, partition }: Chunk): PartitionState {
    let states = this.#topics.get(topic);
    if (states === undefined) this.#topics.set(topic, (states = []));
    return (states[partition] ??= { producer: undefined, former: undefined, nextSequence: 0, pending: undefined });
  }
}
