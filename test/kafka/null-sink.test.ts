import { expect, it } from 'vitest';
import { createNullSink } from '../../src/kafka/null-sink.ts';
import { numbered, slicesOf } from './support/records.ts';

it('takes every chunk of every topic and counts', async () => {
  const sink = createNullSink({ partitions: 3 });
  expect(await sink.loadTopic('any')).toBe(3);
  expect(sink.partitions('any')).toBe(3);
  const slices = slicesOf(numbered(10));
  const first = sink.encode('any', 0, slices, 0, 4);
  await sink.send(first);
  await sink.send(sink.encode('any', 1, slices, 4, 10));
  expect(first.count).toBe(4);
  expect(sink.taken).toMatchObject({ chunks: 2, records: 10 });
  expect(sink.taken.bytes).toBeGreaterThan(first.bytes);
  await sink.close();
});
