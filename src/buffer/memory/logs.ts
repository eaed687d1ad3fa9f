import { randomBytes } from 'node:crypto';
import { ShardLog } from '../shard-log.ts';
import type { StoredFrame } from '../store.ts';

export interface MemoryFrame extends StoredFrame {
  readonly count: number;
}

/** One shard's log with its bytes. */
export class MemoryShard {
  log: ShardLog;
  frames: MemoryFrame[] = [];
  parking = new Map<string, { position: number; bytes: Buffer }[]>();
  aside: StoredFrame[] = [];

  constructor(log: ShardLog) {
    this.log = log;
  }

  copy(): MemoryShard {
    const { log } = this;
    const copy = new MemoryShard(
      new ShardLog(
        log.shard,
        log.limitBytes,
        structuredClone(log.append),
        structuredClone(log.settle),
        structuredClone(log.parked),
      ),
    );
    for (const [clientId, ids] of log.qos2.entries())
      for (const packetId of ids) copy.log.qos2.add({ clientId, packetId });
    for (const [token, sequence] of log.appenders) copy.log.appenders.set(token, sequence);
    copy.log.leaseUntil = log.leaseUntil;
    copy.frames = [...this.frames];
    copy.parking = new Map([...this.parking].map(([topic, entries]) => [topic, [...entries]]));
    copy.aside = [...this.aside];
    return copy;
  }
}

/**
 * What outlives a memory store object: the part of the server. A second store on the same logs is a restart, or another
 * process. Tests break it with the methods below.
 */
export class MemoryLogs {
  /** Changes when the server was restarted: the end of the logs may have been lost then. */
  runId = randomBytes(8).toString('hex');
  shards = new Map<number, MemoryShard>();
  /** Run id under which each shard's log was written last. */
  writtenUnder = new Map<number, string>();
  shardCount: number | undefined;
  /** Connected store objects, by their process id: whom a wake-up reaches. */
  readonly listeners = new Map<string, { appended(shard: number): void; disconnected(): void }>();

  /** The server ends and comes back: connections are lost, data is kept. */
  restart(): void {
    this.runId = randomBytes(8).toString('hex');
    for (const listener of this.listeners.values()) listener.disconnected();
  }

  /** Everything is gone, as after FLUSHALL: nobody is told. */
  empty(): void {
    this.shards.clear();
    this.writtenUnder.clear();
    this.shardCount = undefined;
  }

  snapshot(): () => void {
    const shards = new Map([...this.shards].map(([shard, state]) => [shard, state.copy()]));
    const writtenUnder = new Map(this.writtenUnder);
    return () => {
      this.shards = new Map([...shards].map(([shard, state]) => [shard, state.copy()]));
      this.writtenUnder = new Map(writtenUnder);
      this.restart();
    };
  }
}
