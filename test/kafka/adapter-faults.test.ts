import { readdir, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createKafkaSink, type KafkaOptions } from '../../src/kafka/adapter.ts';
import { KafkaFault, type Chunk, type KafkaSink } from '../../src/kafka/sink.ts';
import { consume } from '../support/kcat.ts';
import { randomFrom } from '../support/random.ts';
import { freePort, startKafka, uniqueTopic, type Kafka } from '../support/services.ts';
import { numbered, slicesOf } from './support/records.ts';

let kafka: Kafka;
const sinks: KafkaSink[] = [];
const logged: string[] = [];

beforeAll(async () => {
  kafka = await startKafka({ proxied: true });
});
afterAll(() => kafka.stop());

afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close();
  await kafka.proxies[0]?.resume();
  logged.length = 0;
});

function open(options: Partial<KafkaOptions> = {}): KafkaSink {
  const log = (level: string, message: string): void => void (level === 'debug' || logged.push(`${level} ${message}`));
  const sink = createKafkaSink({ brokers: kafka.brokers, requestTimeoutMs: 5_000, ...options }, { log });
  sinks.push(sink);
  return sink;
}

function chunkOf(sink: KafkaSink, topic: string, count = 1, from = 0): Chunk {
  // A broker that reads its log anew forgets producers whose newest record is older than a day.
  const records = numbered(count, from).map((record) => ({ ...record, timestamp: Date.now() }));
  return sink.encode(topic, 0, slicesOf(records), 0, count);
}

const attempt = (sink: KafkaSink, chunk: Chunk): Promise<KafkaFault | undefined> =>
  sink.send(chunk).then(
    () => undefined,
    (error: unknown) => {
      expect(error).toBeInstanceOf(KafkaFault);
      return error as KafkaFault;
    },
  );

/** As a lane does it: the same chunk until Kafka takes it. Gives the faults on the way. */
async function sendUntilTaken(sink: KafkaSink, chunk: Chunk, pauseMs = 50): Promise<KafkaFault[]> {
  const faults: KafkaFault[] = [];
  for (;;) {
    const fault = await attempt(sink, chunk);
    if (fault === undefined) return faults;
    expect(fault.scope).not.toBe('record');
    faults.push(fault);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

const written = async (topic: string): Promise<string[]> =>
  (await consume(kafka.directBrokers, topic)).map(({ value }) => String(value));

const sequence = (count: number): string[] => numbered(count).map(({ value }) => String(value));

describe('an answer that is lost', () => {
  const lostAnswer = async (idempotent: boolean): Promise<string[]> => {
    const topic = uniqueTopic('lost');
    const sink = open({ idempotent });
    await sink.loadTopic(topic);
    await sink.send(chunkOf(sink, topic, 5));
    kafka.proxies[0]?.cutAfter(1, 'down');
    const chunk = chunkOf(sink, topic, 5, 5);
    expect(await attempt(sink, chunk)).toMatchObject({ reason: 'CONNECTION_LOST' });
    await sendUntilTaken(sink, chunk);
    await sink.send(chunkOf(sink, topic, 5, 10));
    return written(topic);
  };

  it('makes no second copy of the chunk that is sent again', async () => {
    expect(await lostAnswer(true)).toEqual(sequence(15));
  });

  it('makes one without idempotence, which shows that the answer was lost behind the write', async () => {
    expect(await lostAnswer(false)).toEqual([...sequence(5), ...sequence(10).slice(5), ...sequence(15).slice(5)]);
  });

  it('or a request cut anywhere: each record once and in order', async () => {
    const random = randomFrom();
    const topic = uniqueTopic('cuts');
    const sink = open({ compression: 'lz4' });
    await sink.loadTopic(topic);
    let cuts = 0;
    for (let from = 0; from < 400; from += 10) {
      if (random.int(2) === 0) kafka.proxies[0]?.cutAfter(1 + random.int(400), random.pick(['up', 'down'] as const));
      cuts += (await sendUntilTaken(sink, chunkOf(sink, topic, 10, from), 10)).length;
    }
    await kafka.proxies[0]?.resume();
    expect(await written(topic), `seed ${random.seed}`).toEqual(sequence(400));
    expect(cuts, `seed ${random.seed}`).toBeGreaterThan(0);
  });
});

describe('a chunk that is given up', () => {
  it('although it was written leaves the next one its own place', async () => {
    const topic = uniqueTopic('abandoned');
    const sink = open();
    await sink.loadTopic(topic);
    await sink.send(chunkOf(sink, topic, 5));
    kafka.proxies[0]?.cutAfter(1, 'down');
    const chunk = chunkOf(sink, topic, 5, 5);
    expect(await attempt(sink, chunk)).toBeInstanceOf(KafkaFault);
    sink.abandon(chunk);
    // The same count at the same sequence would be taken for the one that was written.
    await sendUntilTaken(sink, chunkOf(sink, topic, 5, 10));
    expect(await written(topic)).toEqual(sequence(15));
  });
});

describe('a broker', () => {
  it('that refuses connections is a fault of the cluster where it is the only one, until it is back', async () => {
    const topic = uniqueTopic('refuses');
    const sink = open();
    await sink.loadTopic(topic);
    await sink.send(chunkOf(sink, topic, 5));
    await kafka.proxies[0]?.refuse();
    const chunk = chunkOf(sink, topic, 5, 5);
    expect(await attempt(sink, chunk)).toMatchObject({ scope: 'cluster' });
    expect(await attempt(sink, chunk)).toMatchObject({ scope: 'cluster', reason: 'CONNECTION_FAILED' });
    await expect(sink.loadTopic(uniqueTopic())).rejects.toMatchObject({
      scope: 'cluster',
      reason: 'CONNECTION_FAILED',
    });
    await kafka.proxies[0]?.resume();
    await sendUntilTaken(sink, chunk);
    expect(await written(topic)).toEqual(sequence(10));
  });

  it('that hangs is given a new connection after two timeouts, and each record is there once', async () => {
    const topic = uniqueTopic('hangs');
    const sink = open({ requestTimeoutMs: 300, connectionTimeoutMs: 300 });
    await sink.loadTopic(topic);
    await sink.send(chunkOf(sink, topic, 5));
    const [proxy] = kafka.proxies;
    const before = proxy?.accepted ?? 0;
    proxy?.hang();
    const chunk = chunkOf(sink, topic, 5, 5);
    expect(await attempt(sink, chunk)).toMatchObject({ scope: 'cluster', reason: 'REQUEST_TIMEOUT' });
    expect(proxy?.accepted).toBe(before);
    while (proxy?.accepted === before) expect(await attempt(sink, chunk)).toMatchObject({ scope: 'cluster' });
    // What hung comes to Kafka now, late, from connections long given up.
    await proxy?.resume();
    await sendUntilTaken(sink, chunk);
    await sink.send(chunkOf(sink, topic, 5, 10));
    expect(await written(topic)).toEqual(sequence(15));
  });

  it('that nobody listens for is a fault of the cluster at once', async () => {
    const sink = open({ brokers: [`127.0.0.1:${await freePort()}`] });
    await expect(sink.loadTopic('t')).rejects.toMatchObject({ scope: 'cluster', reason: 'CONNECTION_FAILED' });
  });

  it('that is down is passed over for the next of those configured', async () => {
    const topic = uniqueTopic('second');
    const sink = open({ brokers: [`127.0.0.1:${await freePort()}`, ...kafka.brokers] });
    expect(await sink.loadTopic(topic)).toBe(1);
    await sink.send(chunkOf(sink, topic));
    expect(await written(topic)).toEqual(['v0']);
  });

  it('that restarts goes on with the sequence', async () => {
    const topic = uniqueTopic('restarts');
    const sink = open();
    await sink.loadTopic(topic);
    await sink.send(chunkOf(sink, topic, 5));
    const restarted = kafka.restart();
    await sendUntilTaken(sink, chunkOf(sink, topic, 5, 5));
    await restarted;
    expect(await written(topic)).toEqual(sequence(10));
    expect(logged.filter((line) => line.includes('producer id'))).toEqual([]);
  });

  it('that lost its newest records takes the next chunk under a new producer id', async () => {
    const topic = uniqueTopic('truncated');
    const sink = open();
    await sink.loadTopic(topic);
    for (const from of [0, 5]) await sink.send(chunkOf(sink, topic, 5, from));
    const lost = chunkOf(sink, topic, 5, 10);
    await sink.send(lost);
    await kafka.kill();
    await cutLog(path.join(kafka.nodes[0]?.dir ?? '', 'data', `${topic}-0`), lost.bytes);
    await kafka.start();
    const next = chunkOf(sink, topic, 5, 15);
    const faults = await sendUntilTaken(sink, next);
    expect(faults.map(({ reason }) => reason)).not.toContain('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(logged.filter((line) => line.includes('OUT_OF_ORDER_SEQUENCE_NUMBER'))).toHaveLength(1);
    await sink.send(chunkOf(sink, topic, 5, 20));
    expect(await written(topic)).toEqual([...sequence(10), ...sequence(25).slice(15)]);
  });
});

/** What a power failure may do to a broker that has not synced: the end of the newest segment is gone. */
async function cutLog(directory: string, bytes: number): Promise<void> {
  const [segment] = (await readdir(directory)).filter((name) => name.endsWith('.log'));
  const file = path.join(directory, segment ?? '');
  const { size } = await stat(file);
  expect(size).toBeGreaterThan(bytes);
  await truncate(file, size - bytes);
}
