import * as zlib from 'node:zlib';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createKafkaSink, type KafkaOptions } from '../../src/kafka/adapter.ts';
import type { Compression } from '../../src/kafka/compression.ts';
import { partitionFor } from '../../src/kafka/partitioner.ts';
import { KafkaFault, type KafkaSink } from '../../src/kafka/sink.ts';
import { consume } from '../support/kcat.ts';
import { sharedKafka, uniqueTopic, type SharedKafka } from '../support/services.ts';
import { CONSOLE_CONSUMER, CONSOLE_PRODUCER, kafkaTool } from './support/java.ts';
import { numbered, slicesOf, type PlainRecord } from './support/records.ts';

let kafka: SharedKafka;
const sinks: KafkaSink[] = [];

beforeAll(async () => {
  kafka = await sharedKafka();
});

afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close();
});

function open(options: Partial<KafkaOptions> = {}): KafkaSink {
  const sink = createKafkaSink({ brokers: kafka.brokers, ...options });
  sinks.push(sink);
  return sink;
}

async function write(sink: KafkaSink, topic: string, records: readonly PlainRecord[], partition = 0): Promise<void> {
  await sink.send(sink.encode(topic, partition, slicesOf(records), 0, records.length));
}

const faultOf = (promise: Promise<unknown>): Promise<KafkaFault> =>
  promise.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => {
      expect(error).toBeInstanceOf(KafkaFault);
      return error as KafkaFault;
    },
  );

const values = (records: readonly { value: Buffer | null }[]): string[] => records.map(({ value }) => String(value));

describe('what is written', () => {
  const zstd: Compression[] = 'zstdCompressSync' in zlib ? ['zstd'] : [];
  const codecs: Compression[] = ['none', 'gzip', 'snappy', 'lz4', ...zstd];

  it('reads the same for librdkafka and for the Java consumer, in each compression', async () => {
    const topic = uniqueTopic('codecs');
    const written: string[] = [];
    for (const compression of codecs) {
      const sink = open({ compression });
      await sink.loadTopic(topic);
      // More than one block of each codec's framing.
      const records = Array.from(
        { length: 1_000 },
        (_, index) => `${compression} ${index} ${'temperature 21.5 '.repeat(8)}`,
      );
      await write(
        sink,
        topic,
        records.map((value) => ({ key: compression, value })),
      );
      written.push(...records);
    }
    expect(values(await consume(kafka.brokers, topic))).toEqual(written);
    const limits = ['--max-messages', String(written.length), '--timeout-ms', '20000'];
    const args = ['--bootstrap-server', kafka.brokers.join(), '--topic', topic, '--from-beginning', ...limits];
    expect((await kafkaTool(CONSOLE_CONSUMER, args)).split('\n')).toEqual([...written, '']);
  });

  it('keeps nulls, empty values, headers in their order, bytes and timestamps', async () => {
    const topic = uniqueTopic('fields');
    const sink = open({ compression: 'lz4' });
    await sink.loadTopic(topic);
    const bytes = Buffer.from([0, 0xff, 0x80, 0x0a, 0x22]);
    const at = 1_700_000_000_000;
    await write(sink, topic, [
      { key: null, value: null, timestamp: at },
      { key: '', value: '', timestamp: at - 86_400_000 },
      { key: 'schlüssel', value: bytes, headers: [['name', 'first'], ['name', null], ['名', bytes]], timestamp: at + 40 * 86_400_000 }, // prettier-ignore
    ]);
    const read = await consume(kafka.brokers, topic);
    expect(read).toEqual([
      { partition: 0, offset: 0, timestamp: at, key: null, value: null, headers: [] },
      {
        partition: 0,
        offset: 1,
        timestamp: at - 86_400_000,
        key: Buffer.from(''),
        value: Buffer.from(''),
        headers: [],
      },
      {
        partition: 0,
        offset: 2,
        timestamp: at + 40 * 86_400_000,
        key: Buffer.from('schlüssel'),
        value: bytes,
        headers: [
          ['name', Buffer.from('first')],
          ['name', null],
          ['名', bytes],
        ],
      },
    ]);
    const print = ['print.key', 'print.headers', 'print.timestamp'].flatMap((name) => ['--property', `${name}=true`]);
    const limits = ['--max-messages', '2', '--timeout-ms', '20000'];
    const args = [
      '--bootstrap-server',
      kafka.brokers.join(),
      '--topic',
      topic,
      '--from-beginning',
      ...print,
      ...limits,
    ];
    const printed = (await kafkaTool(CONSOLE_CONSUMER, args)).split('\n');
    expect(printed[0]).toBe(`CreateTime:${at}\tNO_HEADERS\tnull\tnull`);
    expect(printed[1]).toBe(`CreateTime:${at - 86_400_000}\tNO_HEADERS\t\t`);
  });

  it('goes to the partition that the Java producer chooses, for 1000 keys', async () => {
    const topic = uniqueTopic('keys');
    await kafka.createTopic(topic, 12);
    const keys = Array.from(
      { length: 1_000 },
      (_, index) => `${['device', 'gerät', '設備', ''][index % 4]}-${index * 7919}`,
    );
    const reader = ['--property', 'parse.key=true', '--property', 'key.separator=|'];
    const args = ['--bootstrap-server', kafka.brokers.join(), '--topic', topic, ...reader];
    await kafkaTool(CONSOLE_PRODUCER, args, keys.map((key) => `${key}|value\n`).join(''));
    const read = await consume(kafka.brokers, topic);
    expect(read).toHaveLength(keys.length);
    const wrong = read.filter(({ key, partition }) => partitionFor(key as Buffer, 12) !== partition);
    expect(wrong).toEqual([]);
    expect(new Set(read.map(({ partition }) => partition)).size).toBe(12);
  });

  it('goes to several partitions and topics at once, each in its order', async () => {
    const topics = [uniqueTopic('a'), uniqueTopic('b'), uniqueTopic('c')];
    const sink = open({ createTopics: { partitions: 4 } });
    for (const topic of topics) expect(await sink.loadTopic(topic)).toBe(4);
    const lanes = topics.flatMap((topic) => [0, 1, 2, 3].map((partition) => ({ topic, partition })));
    await Promise.all(
      lanes.map(async ({ topic, partition }) => {
        for (let from = 0; from < 100; from += 10) await write(sink, topic, numbered(10, from), partition);
      }),
    );
    for (const topic of topics) {
      const read = await consume(kafka.brokers, topic);
      for (const partition of [0, 1, 2, 3]) {
        const lane = values(read.filter((record) => record.partition === partition));
        expect(lane, `${topic}/${partition}`).toEqual(numbered(100).map(({ value }) => value));
      }
    }
  });
});

describe('a topic that does not exist', () => {
  it('is created with what was configured, once however many ask', async () => {
    const topic = uniqueTopic('made');
    const sink = open({ createTopics: { enabled: true, partitions: 3, replicationFactor: 1 } });
    expect(sink.partitions(topic)).toBeUndefined();
    expect(await Promise.all([sink.loadTopic(topic), sink.loadTopic(topic)])).toEqual([3, 3]);
    expect(sink.partitions(topic)).toBe(3);
    await write(sink, topic, [{ value: 'v' }], 2);
    expect(values(await consume(kafka.brokers, topic))).toEqual(['v']);
  });

  it('is created by two sinks at the same time without a fault', async () => {
    const topic = uniqueTopic('both');
    expect(await Promise.all([open().loadTopic(topic), open().loadTopic(topic)])).toEqual([1, 1]);
  });

  it('is a fault of the topic where it may not be created', async () => {
    const sink = open({ createTopics: { enabled: false } });
    const fault = await faultOf(sink.loadTopic(uniqueTopic('none')));
    expect(fault).toMatchObject({ scope: 'topic', reason: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });

  it('is a fault of the topic where Kafka cannot make it as configured', async () => {
    const sink = open({ createTopics: { replicationFactor: 3 } });
    const fault = await faultOf(sink.loadTopic(uniqueTopic('none')));
    expect(fault).toMatchObject({ scope: 'topic', reason: 'INVALID_REPLICATION_FACTOR' });
  });

  it.each(['', '.', '..', 'a/b', 'späti', 'x'.repeat(250), 'a b'])(
    'is a fault of the topic where its name is %j',
    async (name) => {
      expect(await faultOf(open().loadTopic(name))).toMatchObject({
        scope: 'topic',
        reason: 'INVALID_TOPIC_EXCEPTION',
      });
    },
  );
});

describe('a record that Kafka does not take', () => {
  it('is a fault of the record when it is too large, and the next chunk goes on', async () => {
    const topic = uniqueTopic('large');
    const sink = open();
    await kafka.createTopic(topic, 1, { config: { 'max.message.bytes': 2_000 } });
    await sink.loadTopic(topic);
    await write(sink, topic, [{ value: 'before' }]);
    const fault = await faultOf(write(sink, topic, [{ value: 'x'.repeat(3_000) }]));
    expect(fault).toMatchObject({ scope: 'record', reason: 'MESSAGE_TOO_LARGE', records: undefined });
    await write(sink, topic, [{ value: 'after' }]);
    expect(values(await consume(kafka.brokers, topic))).toEqual(['before', 'after']);
  });

  it('is named by its index where Kafka tells it: a record without a key in a compacted topic', async () => {
    const topic = uniqueTopic('compacted');
    const sink = open();
    await kafka.createTopic(topic, 1, { config: { 'cleanup.policy': 'compact' } });
    await sink.loadTopic(topic);
    const fault = await faultOf(
      write(sink, topic, [{ key: 'a', value: '0' }, { value: '1' }, { key: 'c', value: '2' }]),
    );
    expect(fault).toMatchObject({ scope: 'record', reason: 'INVALID_RECORD', records: [1] });
    await write(sink, topic, [{ key: 'd', value: '3' }]);
    expect(values(await consume(kafka.brokers, topic))).toEqual(['3']);
  });

  it('is not even sent when no broker would take the request', async () => {
    const topic = uniqueTopic('huge');
    const sink = open();
    await sink.loadTopic(topic);
    const fault = await faultOf(write(sink, topic, [{ value: Buffer.alloc(101 * 1024 * 1024) }]));
    expect(fault).toMatchObject({ scope: 'record', reason: 'MESSAGE_TOO_LARGE' });
  });
});

describe('topics that change', () => {
  it('one that is deleted does not keep the other from going on', async () => {
    const [stays, goes] = [uniqueTopic('stays'), uniqueTopic('goes')];
    for (const topic of [stays, goes]) await kafka.createTopic(topic);
    const sink = open({ createTopics: { enabled: false } });
    await sink.loadTopic(stays);
    await sink.loadTopic(goes);
    await write(sink, stays, [{ value: '1' }]);
    await write(sink, goes, [{ value: '1' }]);
    await kafka.deleteTopic(goes);
    const lost = sink.encode(goes, 0, slicesOf([{ value: '2' }]), 0, 1);
    // Deletion takes its time.
    let fault: KafkaFault | undefined;
    while (fault === undefined) fault = await sink.send(lost).then(() => undefined, (error: KafkaFault) => error); // prettier-ignore
    expect(fault).toMatchObject({ scope: 'topic', reason: 'UNKNOWN_TOPIC_OR_PARTITION' });
    for (let round = 2; round < 12; round++) {
      expect((await faultOf(sink.send(lost))).scope).toBe('topic');
      await write(sink, stays, [{ value: String(round) }]);
    }
    expect(values(await consume(kafka.brokers, stays))).toEqual(
      Array.from({ length: 11 }, (_, index) => String(index + 1)),
    );
    expect(await sink.loadTopic(uniqueTopic('new')).catch(({ scope }: KafkaFault) => scope)).toBe('topic');

    // Made again, it takes the very same chunk.
    await kafka.createTopic(goes);
    for (;;) {
      const failed = await sink.send(lost).then(() => undefined, (error: KafkaFault) => error); // prettier-ignore
      if (failed === undefined) break;
      expect(failed.scope).toBe('topic');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(values(await consume(kafka.brokers, goes))).toEqual(['2']);
  });

  it('one that is deleted is made again after a while where topics are created', async () => {
    const topic = uniqueTopic('again');
    const sink = createKafkaSink({ brokers: kafka.brokers }, { recreateAfterMs: 300 });
    sinks.push(sink);
    await sink.loadTopic(topic);
    await kafka.deleteTopic(topic);
    const chunk = sink.encode(topic, 0, slicesOf([{ value: 'v' }]), 0, 1);
    const faults = new Set<string>();
    for (let written = 0; ; written++) {
      const failed = await sink.send(chunk).then(() => undefined, (error: KafkaFault) => error); // prettier-ignore
      if (failed === undefined && faults.size > 0) break;
      if (failed !== undefined) faults.add(`${failed.scope} ${failed.reason}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(written).toBeLessThan(400);
    }
    expect([...faults].every((fault) => fault.startsWith('topic '))).toBe(true);
    expect(values(await consume(kafka.brokers, topic))).toEqual(['v']);
  });

  it('more partitions are told, and count once the topic is loaded again', async () => {
    const topic = uniqueTopic('grows');
    await kafka.createTopic(topic, 2);
    const sink = open({ metadataMaxAgeMs: 100 });
    expect(await sink.loadTopic(topic)).toBe(2);
    const told = new Promise<[string, number]>((resolve) => sink.onPartitionsChanged((...change) => resolve(change)));
    await kafka.admin((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] }));
    expect(await told).toEqual([topic, 5]);
    expect(sink.partitions(topic)).toBe(2);
    expect(await sink.loadTopic(topic)).toBe(5);
    expect(sink.partitions(topic)).toBe(5);
    await write(sink, topic, [{ value: 'v' }], 4);
    expect((await consume(kafka.brokers, topic)).map(({ partition }) => partition)).toEqual([4]);
  });

  it('a partition that is gone for good has a reason of its own', async () => {
    const topic = uniqueTopic('shrinks');
    await kafka.createTopic(topic, 3);
    const sink = open({ metadataMaxAgeMs: 100, createTopics: { enabled: false } });
    await sink.loadTopic(topic);
    const told = new Promise<number>((resolve) =>
      sink.onPartitionsChanged((_topic, partitions) => resolve(partitions)),
    );
    const chunk = sink.encode(topic, 2, slicesOf([{ value: 'v' }]), 0, 1);
    await kafka.deleteTopic(topic);
    await kafka.createTopic(topic, 1);
    expect(await told).toBe(1);
    expect(await faultOf(sink.send(chunk))).toMatchObject({ scope: 'topic', reason: 'PARTITION_GONE' });
  });
});

describe('options that cannot work', () => {
  it.each(['localhost', 'localhost:', ':9092', 'localhost:0', 'localhost:70000', 'a b:1'])('broker %j', (broker) => {
    expect(() => createKafkaSink({ brokers: [broker] })).toThrow(`'${broker}' is not a Kafka broker's host:port`);
  });

  it('no broker', () => expect(() => createKafkaSink({ brokers: [] })).toThrow('no Kafka broker'));

  it('after close() everything fails as a fault of the cluster', async () => {
    const sink = open();
    const topic = uniqueTopic('closed');
    await sink.loadTopic(topic);
    await sink.close();
    expect((await faultOf(write(sink, topic, [{ value: 'v' }]))).scope).toBe('cluster');
    expect((await faultOf(sink.loadTopic(uniqueTopic('closed')))).scope).toBe('cluster');
  });
});
