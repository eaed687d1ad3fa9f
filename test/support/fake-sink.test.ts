import { describe, expect, it } from 'vitest';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { numbered, slicesOf } from '../kafka/support/records.ts';
import { createFakeSink } from './fake-sink.ts';

const values = (records: readonly { value: Buffer | null }[]): string[] => records.map(({ value }) => String(value));

describe('the fake sink', () => {
  it('keeps what was sent, decoded, by topic and partition', async () => {
    const sink = createFakeSink({ partitions: 2 });
    await sink.loadTopic('t');
    const slices = slicesOf([{ key: 'k', value: 'v', headers: [['h', null]], timestamp: 5 }]);
    await sink.send(sink.encode('t', 1, slices, 0, 1));
    const record = { key: Buffer.from('k'), value: Buffer.from('v'), headers: [['h', null]], timestamp: 5 };
    expect(sink.records('t', 1)).toEqual([{ topic: 't', partition: 1, ...record }]);
    expect(sink.records('t', 0)).toEqual([]);
  });

  it('fails as planned; what was written although the answer was lost is not written again', async () => {
    const sink = createFakeSink();
    await sink.loadTopic('t');
    const chunk = sink.encode('t', 0, slicesOf(numbered(2)), 0, 2);
    sink.failNext(new KafkaFault('cluster', 'REQUEST_TIMEOUT', 'planned'), { count: 2, written: true });
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'cluster' });
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'cluster' });
    await sink.send(chunk);
    expect(values(sink.written)).toEqual(['v0', 'v1']);
    expect(sink.sends).toHaveLength(3);
  });

  it('refuses chunks that hold a bad record, and names it', async () => {
    const sink = createFakeSink();
    await sink.loadTopic('t');
    const fault = new KafkaFault('record', 'INVALID_RECORD', 'planned');
    sink.refuseRecords(({ value }) => (String(value) === 'v1' ? fault : undefined));
    const chunk = sink.encode('t', 0, slicesOf(numbered(3)), 0, 3);
    await expect(sink.send(chunk)).rejects.toMatchObject({ reason: 'INVALID_RECORD', records: [1] });
    expect(sink.written).toEqual([]);
  });

  it('holds sends until they are released, and objects to two of one partition', async () => {
    const sink = createFakeSink();
    await sink.loadTopic('t');
    sink.hold();
    const slices = slicesOf(numbered(2));
    const first = sink.send(sink.encode('t', 0, slices, 0, 1));
    await sink.until(() => sink.held === 1);
    await expect(sink.send(sink.encode('t', 0, slices, 1, 2))).rejects.toThrow('two chunks');
    expect(sink.written).toEqual([]);
    sink.release();
    await first;
    expect(values(sink.written)).toEqual(['v0']);
  });

  it('tells a changed partition count, and goes by the old one until the topic is loaded again', async () => {
    const sink = createFakeSink({ topics: { t: 1, gone: 0 } });
    const told: [string, number][] = [];
    sink.onPartitionsChanged((topic, partitions) => told.push([topic, partitions]));
    await sink.loadTopic('t');
    sink.setPartitions('t', 4);
    expect(told).toEqual([['t', 4]]);
    expect(sink.partitions('t')).toBe(1);
    expect(await sink.loadTopic('t')).toBe(4);
    await expect(sink.loadTopic('gone')).rejects.toMatchObject({ scope: 'topic' });
  });
});
