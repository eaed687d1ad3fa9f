import { describe, expect, it } from 'vitest';
import type { Consumed } from '../support/kcat.ts';
import { Checker, type CheckerOptions, type DeviceLog, type Verdict } from './checker.ts';
import { makePayload } from './payload.mjs';

const devices: DeviceLog[] = ['d1', 'd2'].map((device) => ({
  device,
  attempted: 6,
  acknowledged: [0, 1, 2, 3, 4],
}));

function goodRun(): Consumed[] {
  return devices.flatMap(({ device, acknowledged }, partition) =>
    acknowledged.map((sequence) => ({
      partition,
      offset: sequence,
      timestamp: 0,
      key: Buffer.from(device),
      value: Buffer.from(makePayload(device, sequence)),
      headers: [['sluice-id', Buffer.from(`L:${partition}:${sequence + 1}`)]] as Consumed['headers'],
    })),
  );
}

function judge(records: readonly Consumed[], logs = devices, options: CheckerOptions = {}): Verdict {
  const checker = new Checker(logs, options);
  for (const record of records) checker.add(record);
  return checker.verdict();
}

const clean = { lost: [], phantom: [], reordered: [], corrupt: [], idsUsedTwice: [], duplicates: 0 };

describe('the checker', () => {
  it('finds nothing in a good run', () => {
    expect(judge(goodRun())).toMatchObject(clean);
  });

  it('finds a message that was acknowledged before it was stored, and then lost', () => {
    const records = goodRun();
    records.splice(3, 1);
    expect(judge(records)).toMatchObject({ ...clean, lost: ['d1:3'] });
  });

  it('does not call an unacknowledged message lost, present or not', () => {
    const extra = { ...goodRun()[4]!, offset: 5, value: Buffer.from(makePayload('d1', 5)), headers: [] };
    expect(judge([...goodRun(), extra])).toMatchObject(clean);
  });

  it('finds two messages of a device swapped', () => {
    const records = goodRun();
    [records[1], records[2]] = [records[2]!, records[1]!];
    expect(judge(records).reordered).toEqual(['d1:1 after 2 at 0:1']);
  });

  it('allows a repeated suffix, and counts it', () => {
    const records = goodRun();
    records.splice(5, 0, ...records.slice(2, 5));
    expect(judge(records)).toMatchObject({ ...clean, duplicates: 3 });
  });

  it('finds a device whose records are spread over partitions', () => {
    const records = goodRun();
    records[4] = { ...records[4]!, partition: 7 };
    expect(judge(records).reordered).toHaveLength(1);
  });

  it('finds a flipped bit', () => {
    const records = goodRun();
    const value = Buffer.from(records[2]!.value!);
    value[10]! ^= 1;
    records[2] = { ...records[2]!, value };
    expect(judge(records)).toMatchObject({ corrupt: ['0:2'], lost: ['d1:2'] });
  });

  it('finds a record that nobody published', () => {
    const records = goodRun();
    records.push({ ...records[0]!, value: Buffer.from(makePayload('d1', 99)) });
    records.push({ ...records[0]!, value: Buffer.from(makePayload('d9', 0)) });
    expect(judge(records).phantom).toEqual(['d1:99 at 0:0', 'd9:0 at 0:0']);
  });

  it('finds a sluice-id that names two messages', () => {
    const records = goodRun();
    records[1] = { ...records[1]!, headers: records[0]!.headers };
    expect(judge(records).idsUsedTwice).toEqual(['L:0:1: d1:0 and d1:1']);
  });

  it('tells what sluice delivered again from what the device published again', () => {
    const [first] = goodRun();
    const again = { ...first!, offset: 10 };
    const resent = { ...first!, offset: 11, headers: marked('L:0:99') };
    expect(judge([...goodRun(), again, resent])).toMatchObject({
      ...clean,
      duplicates: 2,
      repeats: 1,
      resends: 1,
      unmarked: [],
      twice: [],
      ids: 11,
    });
  });

  it('finds a second attempt of a device that is not marked as such', () => {
    const [first] = goodRun();
    const headers: Consumed['headers'] = [['sluice-id', Buffer.from('L:0:99')]];
    expect(judge([...goodRun(), { ...first!, offset: 11, headers }]).unmarked).toEqual(['d1:0']);
  });

  it('finds a QoS 2 message that was committed twice', () => {
    const [first] = goodRun();
    const resent = { ...first!, offset: 11, headers: marked('L:0:99') };
    const logs = devices.map((log) => ({ ...log, qos: 2 as const }));
    expect(judge([...goodRun(), resent], logs).twice).toEqual(['d1:0']);
  });

  it('counts what a wiped store took with it, and nothing else, as not lost', () => {
    const records = goodRun().filter(({ offset }) => offset !== 1 && offset !== 3);
    const mayBeLost = [{ device: 'd1', attempted: 3, acknowledged: [0, 1, 2] }];
    const verdict = judge(records, devices, { mayBeLost });
    expect(verdict).toMatchObject({ lostWithStore: 1, lost: ['d1:3', 'd2:1', 'd2:3'] });
  });

  describe('where the topic got more partitions', () => {
    const options = { partitionsMayChange: true };
    const moved = (partitionOf: (sequence: number) => number): Consumed[] =>
      goodRun().map((record) =>
        record.partition === 0
          ? { ...record, partition: partitionOf(record.offset), timestamp: record.offset }
          : record,
      );

    it('lets a device move, and move back, behind all it had before', () => {
      const there = moved((sequence) => (sequence < 2 ? 0 : 5));
      expect(judge(there, devices, options)).toMatchObject({ ...clean, moved: 1 });
      const back = moved((sequence) => (sequence < 2 ? 0 : sequence < 4 ? 5 : 0));
      expect(judge(back, devices, options)).toMatchObject({ ...clean, moved: 1 });
    });

    it('finds one that moved before its old partition had it all', () => {
      const records = moved((sequence) => (sequence < 2 ? 0 : 5));
      records[1] = { ...records[1]!, timestamp: 9 };
      expect(judge(records, devices, options).reordered[0]).toBe('d1:2 in partition 5 before 1 in 0');
    });
  });

  describe('of dead letters', () => {
    const letter = (record: Consumed, ...headers: [string, string][]): Consumed => ({
      ...record,
      headers: [...record.headers, ...headers.map(([name, value]) => [name, Buffer.from(value)] as [string, Buffer])],
    });
    const judgeWithLetters = (records: readonly Consumed[], letters: readonly Consumed[]): Verdict => {
      const checker = new Checker(devices);
      for (const record of records) checker.add(record);
      for (const record of letters) checker.addDeadLetter(record);
      return checker.verdict();
    };

    it('takes a dead letter as the place of its message, and counts it by reason', () => {
      const [first, ...others] = goodRun();
      const letters = [letter(first!, ['sluice-error-code', 'MESSAGE_TOO_LARGE'])];
      expect(judgeWithLetters(others, letters)).toMatchObject({ ...clean, deadLettered: { MESSAGE_TOO_LARGE: 1 } });
    });

    it('knows one that was cut to fit', () => {
      const [first, ...others] = goodRun();
      const cut = letter(
        { ...first!, value: first!.value!.subarray(0, 20) },
        ['sluice-error-code', 'MESSAGE_TOO_LARGE'],
        ['sluice-payload-truncated', '100'],
      );
      expect(judgeWithLetters(others, [cut])).toMatchObject({ ...clean, deadLettered: { MESSAGE_TOO_LARGE: 1 } });
    });

    it('finds a corrupt one that was not cut', () => {
      const [first, ...others] = goodRun();
      const letters = [letter({ ...first!, value: first!.value!.subarray(0, 20) })];
      expect(judgeWithLetters(others, letters)).toMatchObject({ lost: ['d1:0'], corrupt: ['0:0'] });
    });
  });
});

function marked(id: string): Consumed['headers'] {
  return [
    ['sluice-id', Buffer.from(id)],
    ['mqtt-dup', Buffer.from('true')],
  ];
}
