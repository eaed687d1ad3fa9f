/** What TopicReader reads is what others wrote: sluice itself in each codec, the Java producer, librdkafka. */
import * as zlib from 'node:zlib';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createKafkaSink } from '../../src/kafka/adapter.ts';
import type { Compression } from '../../src/kafka/compression.ts';
import { KafkaFault } from '../../src/kafka/sink.ts';
import { TopicReader } from '../../src/kafka/topic-reader.ts';
import { sharedKafka, uniqueTopic, type SharedKafka } from '../support/services.ts';
import { CONSOLE_PRODUCER, kafkaTool } from './support/java.ts';
import { slicesOf } from './support/records.ts';

let kafka: SharedKafka;
const open: TopicReader[] = [];
beforeAll(async () => {
  kafka = await sharedKafka();
});
afterEach(() => {
  for (const reader of open.splice(0)) reader.close();
});

function readerOf(topic: string): TopicReader {
  const reader = new TopicReader({ brokers: kafka.brokers }, topic);
  open.push(reader);
  return reader;
}

async function readAll(topic: string) {
  const reader = readerOf(topic);
  const found = [];
  for (const range of await reader.ranges()) {
    for await (const records of reader.read(range)) {
      for (const record of records) found.push({ partition: range.partition, ...record });
    }
  }
  return found;
}

describe('a topic that is read', () => {
  const zstd: Compression[] = 'zstdCompressSync' in zlib ? ['zstd'] : [];

  it.each<Compression>(['none', 'gzip', 'snappy', 'lz4', ...zstd])(
    'gives what was written with %s, over several fetches, with offsets, times and headers in order',
    async (compression) => {
      const topic = uniqueTopic('read');
      await kafka.createTopic(topic, 2);
      const sink = createKafkaSink({ brokers: kafka.brokers, compression });
      await sink.loadTopic(topic);
      const pad = 'x'.repeat(500);
      for (let batch = 0; batch < 12; batch++) {
        const records = Array.from({ length: 500 }, (_, index) => ({ value: `${batch} ${index} ${pad}` }));
        await sink.send(sink.encode(topic, batch % 2, slicesOf(records), 0, records.length));
      }
      await sink.close();
      const found = await readAll(topic);
      expect(found).toHaveLength(6_000);
      for (const partition of [0, 1]) {
        const own = found.filter((record) => record.partition === partition);
        expect(own.map(({ offset }) => offset)).toEqual(Array.from({ length: 3_000 }, (_, index) => index));
        expect(own.map(({ value }) => value?.toString())).toEqual(
          [0, 2, 4, 6, 8, 10].flatMap((batch) =>
            Array.from({ length: 500 }, (_, index) => `${batch + partition} ${index} ${pad}`),
          ),
        );
      }
    },
  );

  it.each(['none', 'gzip', 'snappy', 'lz4'])('gives what the Java producer wrote with %s', async (codec) => {
    const topic = uniqueTopic('java');
    await kafka.createTopic(topic, 1);
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index} ${'y'.repeat(index * 40)}`);
    const args = ['--bootstrap-server', kafka.brokers.join(','), '--topic', topic, '--compression-codec', codec];
    await kafkaTool(CONSOLE_PRODUCER, args, lines.join('\n'));
    expect((await readAll(topic)).map(({ value }) => value?.toString())).toEqual(lines);
  });

  it('is nothing where it is empty, and a fault where it is not there', async () => {
    const topic = uniqueTopic('empty');
    await kafka.createTopic(topic, 3);
    expect(await readAll(topic)).toEqual([]);
    const missing = await readAll(uniqueTopic('missing')).catch((error: unknown) => error);
    expect(missing).toBeInstanceOf(KafkaFault);
    expect(missing).toMatchObject({ scope: 'topic', reason: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });
});
