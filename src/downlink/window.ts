/** What of one partition has been taken and is not done, from an assignment of the partition to the next. */
import type { PartitionName, SourceRecord } from '../kafka/record-source.ts';
import { OffsetTracker } from './offsets.ts';
import { Sequence } from './sequence.ts';

export class PartitionWindow implements PartitionName {
  readonly topic: string;
  readonly partition: number;
  readonly offsets = new OffsetTracker();
  readonly sequence = new Sequence();
  /** It is somebody else's now, or ours anew: nothing of it is begun any more, and what is not done comes again. */
  over = false;
  paused = false;
  /** Of the offset that was committed last. */
  committed: number | undefined;
  /** Behind the last record of the partition, as Kafka told last. */
  endOffset = 0;

  constructor({ topic, partition }: PartitionName) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Records that are not done. */
  get lag(): number {
    const { next } = this.offsets;
    return next === undefined ? this.offsets.open : Math.max(0, this.endOffset - next);
  }
}

/** Names for what must stay in order. */
export function orderNames(record: SourceRecord, topic: string): string[] {
  return record.key === null ? [`t${topic}`] : [`t${topic}`, `k${record.key.toString('latin1')}`];
}
