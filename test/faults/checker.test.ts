import { describe, expect, it } from 'vitest';
import type { Consumed } from '../support/kcat.ts';
import { Checker, type DeviceLog, type Verdict } from './checker.ts';
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

function judge(records: readonly Consumed[], logs = devices): Verdict {
  const checker = new Checker(logs);
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
});
