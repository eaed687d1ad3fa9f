import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DownlinkDefinition } from '../../src/downlink/definition.ts';
import { Downlink, type Subscribers } from '../../src/downlink/downlink.ts';
import { compileDownlink } from '../../src/downlink/mapping.ts';
import {
  RecordTooLarge,
  type OutgoingRecord,
  type PartitionName,
  type Progress,
  type RecordSource,
} from '../../src/kafka/record-source.ts';
import { definition, record } from './support.ts';

type Result = Awaited<ReturnType<Subscribers['entrust']>>;
const P0 = { topic: 'commands', partition: 0 };

/** A downlink whose Kafka and broker are the test's. */
class Rig {
  readonly entrusted: string[] = [];
  readonly letters: OutgoingRecord[] = [];
  readonly committed = new Map<number, number>();
  readonly resumed: PartitionName[] = [];
  /** What the broker says next; without one it answers when `answer` is called. */
  results: Result[] = [];
  waiting: ((result: Result) => void)[] = [];
  subscribed = false;
  letterFaults: Error[] = [];
  commits = true;
  readonly downlink: Downlink;

  constructor(more: Partial<DownlinkDefinition> = {}) {
    const source: RecordSource = {
      start: () => undefined,
      resume: (partition) => void this.resumed.push({ topic: partition.topic, partition: partition.partition }),
      commit: async (progress: readonly Progress[]) => {
        if (this.commits) for (const { partition, next } of progress) this.committed.set(partition, next);
        return this.commits;
      },
      stop: async () => undefined,
    };
    const chosen = definition(more);
    this.downlink = new Downlink({
      definition: chosen,
      mapper: compileDownlink(chosen, 100_000).mapper!,
      source,
      letters: {
        write: async (letter) => {
          const fault = this.letterFaults.shift();
          if (fault !== undefined) throw fault;
          this.letters.push(letter);
        },
        close: async () => undefined,
      },
      subscribers: {
        entrust: ({ topic, payload }) => {
          this.entrusted.push(`${topic.split('/')[1]} ${payload.toString()}`);
          const result = this.results.shift();
          return result === undefined ? new Promise((tell) => this.waiting.push(tell)) : Promise.resolve(result);
        },
        hasSubscriber: () => this.subscribed,
      },
      events: { connected: () => undefined, fault: () => undefined, deadLettered: () => undefined },
    });
    this.downlink.start();
    this.downlink.assigned([P0]);
  }

  take(offset: number, key: string, more: Parameters<typeof record>[0] = {}): boolean {
    return this.downlink.take(record({ offset, key, value: String(offset), ...more }), offset + 1);
  }

  /** The oldest that is under way. */
  async answer(result: Result = 'taken'): Promise<void> {
    this.waiting.shift()?.(result);
    await vi.advanceTimersByTimeAsync(0);
  }
}

const later = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const COMMIT_MS = 300;

describe('a downlink', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('commits nothing that is not settled, and only what has nothing open before it', async () => {
    const rig = new Rig();
    for (const [offset, key] of [
      [4, 'a'],
      [5, 'b'],
      [6, 'c'],
    ] as const)
      rig.take(offset, key);
    await later(COMMIT_MS);
    expect(rig.entrusted).toEqual(['a 4', 'b 5', 'c 6']);
    expect(rig.committed.size).toBe(0);
    rig.waiting.splice(1, 1)[0]!('taken');
    await later(COMMIT_MS);
    expect(rig.committed.size).toBe(0);
    await rig.answer();
    await later(COMMIT_MS);
    expect(rig.committed.get(0)).toBe(6);
    await rig.answer();
    await later(COMMIT_MS);
    expect(rig.committed.get(0)).toBe(7);
  });

  it('commits again what could not be committed', async () => {
    const rig = new Rig();
    rig.results = ['taken'];
    rig.commits = false;
    rig.take(0, 'a');
    await later(COMMIT_MS);
    rig.commits = true;
    await later(COMMIT_MS);
    expect(rig.committed.get(0)).toBe(1);
  });

  it('keeps the order of a device through faults of the store, while others go on', async () => {
    const rig = new Rig();
    rig.take(0, 'a');
    rig.take(1, 'a');
    rig.take(2, 'b');
    await later(0);
    expect(rig.entrusted).toEqual(['a 0', 'b 2']);
    await rig.answer('unavailable');
    await rig.answer();
    await later(200);
    expect(rig.entrusted).toEqual(['a 0', 'b 2', 'a 0']);
    await rig.answer();
    expect(rig.entrusted.at(-1)).toBe('a 1');
  });

  it('holds what nobody has subscribed to, until somebody has', async () => {
    const rig = new Rig();
    rig.results = ['none'];
    rig.take(0, 'a');
    rig.take(1, 'a');
    await later(10_000);
    expect(rig.entrusted).toEqual(['a 0']);
    expect(rig.downlink.state().held).toBe(1);
    rig.subscribed = true;
    rig.results = ['taken', 'taken'];
    await later(COMMIT_MS * 2);
    expect(rig.entrusted).toEqual(['a 0', 'a 0', 'a 1']);
    expect(rig.committed.get(0)).toBe(2);
  });

  it('holds for a time, once for each device, then writes a dead letter', async () => {
    const rig = new Rig({ holdTimeoutMs: 5_000 });
    rig.results = Array<Result>(10).fill('none');
    for (const offset of [0, 1, 2]) rig.take(offset, 'a');
    await later(4_000);
    expect(rig.letters).toEqual([]);
    await later(1_500);
    expect(
      rig.letters.map(
        ({ headers }) => `${String(headers['sluice-original-offset'])} ${String(headers['sluice-error-code'])}`,
      ),
    ).toEqual(['0 NO_SUBSCRIBER', '1 NO_SUBSCRIBER', '2 NO_SUBSCRIBER']);
    await later(COMMIT_MS);
    expect(rig.committed.get(0)).toBe(3);
  });

  it.each([
    ['deadLetter', 'none', 'NO_SUBSCRIBER', 'deadLettered'],
    ['hold', 'unacknowledged', 'NOT_ACKNOWLEDGED', 'deadLettered'],
    ['drop', 'none', undefined, 'noSubscriber'],
    ['drop', 'unacknowledged', undefined, 'unacknowledged'],
  ] as const)('with noSubscriber: %s ends "%s" with the letter %s', async (noSubscriber, result, code, outcome) => {
    const rig = new Rig({ noSubscriber });
    rig.results = [result];
    rig.take(0, 'a');
    await later(COMMIT_MS);
    expect(rig.letters.map(({ headers }) => headers['sluice-error-code'])).toEqual(code === undefined ? [] : [code]);
    expect(rig.downlink.state().outcomes[outcome]).toBe(1);
    expect(rig.committed.get(0)).toBe(1);
  });

  it('writes a dead letter of what cannot be mapped, and does not settle it before Kafka has it', async () => {
    const rig = new Rig();
    rig.letterFaults = [new Error('Kafka is away'), new RecordTooLarge('too large')];
    rig.take(0, 'no/level', { headers: [['h', 'x']] });
    await later(50);
    expect(rig.letters).toEqual([]);
    expect(rig.committed.size).toBe(0);
    await later(5_000);
    expect(rig.letters).toHaveLength(1);
    expect(rig.letters[0]).toMatchObject({ topic: 'letters', key: Buffer.from('no/level'), value: null });
    expect(rig.letters[0]?.headers).toMatchObject({
      'sluice-downlink': 'test',
      'sluice-error-code': 'TOPIC',
      'sluice-original-topic': 'commands',
      'sluice-payload-truncated': '1',
    });
    expect(rig.committed.get(0)).toBe(1);
  });

  it('takes no more than there is room for, in records and in bytes, and goes on when half is free', async () => {
    const rig = new Rig({ windowRecords: 4 });
    expect([0, 1, 2, 3, 4].map((offset) => rig.take(offset, `d${offset}`))).toEqual([true, true, true, true, false]);
    await later(0);
    expect(rig.downlink.state()).toMatchObject({ open: 4, openBytes: 400, paused: 1 });
    await rig.answer();
    expect(rig.resumed).toEqual([]);
    await rig.answer();
    expect(rig.resumed).toEqual([P0]);
    expect(rig.take(4, 'd4')).toBe(true);
    const bytes = new Rig({ windowBytes: 65_536 });
    expect(bytes.take(0, 'a', { bytes: 70_000 })).toBe(true);
    expect(bytes.take(1, 'b', { bytes: 1 })).toBe(false);
    await later(0);
    await bytes.answer();
    expect(bytes.resumed).toEqual([P0]);
    expect(bytes.downlink.state().openBytes).toBe(0);
  });

  it('is held up by one that is held only as far as the window goes', async () => {
    const rig = new Rig({ windowRecords: 4, holdTimeoutMs: 60_000 });
    rig.results = ['none', 'taken', 'taken', 'taken'];
    for (const [offset, key] of ['away', 'b', 'c', 'd'].entries()) rig.take(offset, key);
    await later(COMMIT_MS);
    expect(rig.entrusted).toEqual(['away 0', 'b 1', 'c 2', 'd 3']);
    expect(rig.committed.size).toBe(0);
    expect(rig.take(4, 'e')).toBe(false);
    rig.results = [];
    await later(60_000);
    expect(rig.letters).toHaveLength(1);
    expect(rig.committed.get(0)).toBe(4);
    expect(rig.resumed).toEqual([P0]);
  });

  it('begins nothing of an assignment that is over, and takes it anew', async () => {
    const rig = new Rig();
    rig.take(0, 'a');
    rig.take(1, 'a');
    await later(0);
    rig.downlink.assigned([P0]);
    await rig.answer();
    await later(COMMIT_MS);
    expect(rig.entrusted).toEqual(['a 0']);
    expect(rig.committed.size).toBe(0);
    rig.results = ['taken', 'taken'];
    rig.take(0, 'a');
    rig.take(1, 'a');
    await later(COMMIT_MS);
    expect(rig.entrusted).toEqual(['a 0', 'a 0', 'a 1']);
    expect(rig.committed.get(0)).toBe(2);
  });

  it('takes nothing of a partition that is not its own', () => {
    const rig = new Rig();
    rig.downlink.assigned([]);
    expect(rig.take(0, 'a')).toBe(false);
  });

  it('stops with what is done committed, and leaves the rest', async () => {
    const rig = new Rig();
    rig.results = ['taken', 'none'];
    rig.take(0, 'a');
    rig.take(1, 'b');
    await later(0);
    const stopped = rig.downlink.stop();
    await later(2_500);
    await stopped;
    expect(rig.committed.get(0)).toBe(1);
    expect(rig.letters).toEqual([]);
  });
});
