import kafkajs from 'kafkajs';
import { beforeAll, describe, expect, it } from 'vitest';
import { consume, header } from './kcat.ts';
import { sharedKafka, uniqueTopic, type SharedKafka } from './services.ts';

describe('reading a topic with kcat', () => {
  let kafka: SharedKafka;

  beforeAll(async () => {
    kafka = await sharedKafka();
  });

  async function produce(topic: string, messages: kafkajs.Message[]): Promise<void> {
    const producer = new kafkajs.Kafka({ brokers: kafka.brokers, logLevel: kafkajs.logLevel.NOTHING }).producer();
    await producer.connect();
    await producer.send({ topic, messages });
    await producer.disconnect();
  }

  it('gives any bytes of key, value and headers back as they are', async () => {
    const topic = uniqueTopic();
    await kafka.createTopic(topic, 1);
    const all = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    await produce(topic, [
      {
        key: all,
        value: all,
        headers: { bytes: all, 'na,me=ü\n': 'ü', empty: Buffer.alloc(0) },
        timestamp: '1234567890123',
      },
      { key: null, value: null },
      { key: '', value: '' },
      { value: 'x', headers: { twice: ['1', '2'] } },
    ]);
    const [first, second, third, fourth] = await consume(kafka.brokers, topic);
    expect(first).toEqual({
      partition: 0,
      offset: 0,
      timestamp: 1234567890123,
      key: all,
      value: all,
      headers: [
        ['bytes', all],
        ['na,me=ü\n', Buffer.from('ü')],
        ['empty', Buffer.alloc(0)],
      ],
    });
    expect([second?.key, second?.value, second?.headers]).toEqual([null, null, []]);
    expect([third?.key, third?.value]).toEqual([Buffer.alloc(0), Buffer.alloc(0)]);
    expect(fourth?.headers).toEqual([
      ['twice', Buffer.from('1')],
      ['twice', Buffer.from('2')],
    ]);
    expect([header(fourth!, 'twice'), header(fourth!, 'none')]).toEqual(['1', undefined]);
  });

  it('reads every record of every partition, each partition in the order of its offsets', async () => {
    const topic = uniqueTopic();
    await kafka.createTopic(topic, 3);
    const messages = Array.from({ length: 6_000 }, (_, index) => ({ key: `k${index % 50}`, value: `${index}` }));
    await produce(topic, messages);
    const records = await consume(kafka.brokers, topic);
    expect(records.length).toBe(messages.length);
    for (const partition of [0, 1, 2]) {
      const offsets = records.filter((record) => record.partition === partition).map(({ offset }) => offset);
      expect(offsets).toEqual(offsets.map((_, index) => index));
    }
    expect(new Set(records.map(({ value }) => value?.toString())).size).toBe(messages.length);
  });

  it('reads an empty topic as nothing, and rejects for one that does not exist', async () => {
    const topic = uniqueTopic();
    await kafka.createTopic(topic, 2);
    expect(await consume(kafka.brokers, topic)).toEqual([]);
    await expect(consume(kafka.brokers, uniqueTopic('missing'))).rejects.toThrow(/missing/);
  });
});
