/**
 * Messages that no record can be made of, and records that Kafka will never take, go to the dead-letter topic: with the reason,
 * through a lane like any other, under the same guarantees. The message is settled, as dead-lettered, once its dead letter is
 * in Kafka; while the dead-letter topic cannot be written it waits in the buffer.
 */
import type { KafkaFault } from '../kafka/sink.ts';
import { MIN_BYTES } from './dead-letter-record.ts';
import type { DeadLetterInfo } from './events.ts';
import type { Refusal } from './lane-host.ts';
import type { Mapper } from './mapper.ts';
import type { MappedRecord } from './mapping.ts';
import type { RecordOwner } from './open-messages.ts';
import type { WaitingRecord } from './parked-entry.ts';

export interface DeadLettersHost {
  readonly mapper: Pick<Mapper, 'mapDeadLetter'>;
  readonly deadLetterTopic: string;
  push(record: MappedRecord, owner: RecordOwner, index: number): void;
  deadLetter(info: DeadLetterInfo): void;
}

interface Fault {
  readonly code: string;
  readonly reason: string;
  readonly route: string | undefined;
  readonly index?: number | undefined;
  readonly originalTopic?: string;
  readonly originalPartition?: number;
}

export class DeadLetters {
  /** Dead letters made, in records. */
  made = 0;
  readonly #host: DeadLettersHost;
  readonly #out: MappedRecord[] = [];

  constructor(host: DeadLettersHost) {
    this.#host = host;
  }

  /** No record can be made of message `index` by a route. */
  unmappable(
    owner: RecordOwner,
    index: number,
    fault: { readonly code: string; readonly reason: string; readonly route: string | undefined },
  ): void {
    this.#make(owner, index, { code: fault.code, reason: fault.reason, route: fault.route });
  }

  /** A dead letter that waited, made again. */
  again(
    owner: RecordOwner,
    index: number,
    { route, index: element }: WaitingRecord,
    letter: NonNullable<WaitingRecord['letter']>,
  ): void {
    const { code, reason, topic } = letter;
    this.#push(owner, index, {
      code,
      reason,
      route,
      index: element,
      ...(topic === undefined ? {} : { originalTopic: topic }),
    });
  }

  /** Kafka will never take `record`, nor a chunk with it. */
  refused(record: MappedRecord, partition: number, owner: RecordOwner, index: number, fault: KafkaFault): Refusal {
    if (record.letter !== undefined) return this.#shorten(record, owner, index, fault);
    this.#make(owner, index, {
      code: fault.reason,
      reason: fault.message,
      route: record.route,
      index: record.index,
      originalTopic: record.topic,
      originalPartition: partition,
    });
    // Its dead letter has joined the message before the record leaves it, so the message stays open in between.
    owner.recordRemoved(index);
    return { kind: 'moved' };
  }

  #make(owner: RecordOwner, index: number, letter: Fault): void {
    this.#push(owner, index, letter);
    const { code, reason, route, originalTopic } = letter;
    const { shard } = owner.ownership;
    this.made++;
    this.#host.deadLetter({ shard, offset: owner.offset(index), code, reason, route, topic: originalTopic });
  }

  #push(owner: RecordOwner, index: number, letter: Fault): void {
    const { mapper, deadLetterTopic: topic } = this.#host;
    const out = this.#out;
    out.length = 0;
    const { shard } = owner.ownership;
    mapper.mapDeadLetter(owner.message(index), owner.offset(index), owner.logId, shard, { topic, ...letter }, out);
    for (const record of out) this.#host.push(record, owner, index);
  }

  /** The dead letter itself is refused: half of it may pass. What cannot be made smaller waits for the topic to change. */
  #shorten(record: MappedRecord, owner: RecordOwner, index: number, fault: KafkaFault): Refusal {
    const bytes = record.slice.end - record.slice.start;
    const { letter } = record;
    if (letter === undefined || bytes <= MIN_BYTES || !fault.reason.endsWith('TOO_LARGE')) return { kind: 'held' };
    const out = this.#out;
    out.length = 0;
    this.#host.mapper.mapDeadLetter(
      owner.message(index),
      owner.offset(index),
      owner.logId,
      owner.ownership.shard,
      {
        topic: record.topic,
        route: letter.route,
        index: record.index,
        code: letter.code,
        reason: letter.reason,
        originalTopic: letter.topic,
        maxBytes: Math.max(MIN_BYTES, Math.floor(bytes / 2)),
      },
      out,
    );
    const [shorter] = out;
    if (shorter === undefined || shorter.slice.end - shorter.slice.start >= bytes) return { kind: 'held' };
    return { kind: 'replaced', by: shorter };
  }
}
