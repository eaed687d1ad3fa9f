/** Writes single records, each in a request of its own: what kafkajs' producer loses, it loses of batches (kafkajs#1303). */
import type { Kafka, Producer } from 'kafkajs';
import { errorText } from '../errors.ts';
import { kafkajsClient } from './consumer-client.ts';
import type { KafkaLog, KafkaOptions } from './options.ts';
import { RecordTooLarge, type OutgoingRecord, type RecordWriterPort } from './record-source.ts';

export function createSingleRecords(options: KafkaOptions, log: KafkaLog): RecordWriterPort {
  return new SingleRecords(options, log);
}

class SingleRecords implements RecordWriterPort {
  readonly #kafka: Kafka;
  readonly #createTopics: KafkaOptions['createTopics'];
  /** Topics that are there. */
  readonly #there = new Set<string>();
  #producer: Promise<Producer> | undefined;

  constructor(options: KafkaOptions, log: KafkaLog) {
    this.#kafka = kafkajsClient(options, log);
    this.#createTopics = options.createTopics;
  }

  async write({ topic, key, value, headers }: OutgoingRecord): Promise<void> {
    if (!this.#there.has(topic)) await this.#create(topic);
    const producer = await this.#connected();
    try {
      await producer.send({ topic, acks: -1, messages: [{ key, value, headers: { ...headers } }] });
    } catch (error) {
      this.#there.delete(topic);
      if ((error as { type?: string }).type === 'MESSAGE_TOO_LARGE')
        throw new RecordTooLarge(errorText(error), { cause: error });
      // A new one: a connection that is dead is not always found to be (kafkajs#919).
      this.#producer = undefined;
      producer.disconnect().catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    const producer = await this.#producer?.catch(() => undefined);
    this.#producer = undefined;
    await producer?.disconnect().catch(() => undefined);
  }

  async #create(topic: string): Promise<void> {
    const { enabled = true, partitions = -1, replicationFactor = -1 } = this.#createTopics ?? {};
    if (enabled) {
      const admin = this.#kafka.admin();
      try {
        await admin.connect();
        // Resolves to false where it is there.
        await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor }] });
      } finally {
        await admin.disconnect().catch(() => undefined);
      }
    }
    this.#there.add(topic);
  }

  async #connected(): Promise<Producer> {
    this.#producer ??= (async () => {
      const producer = this.#kafka.producer({ allowAutoTopicCreation: false });
      await producer.connect();
      return producer;
    })();
    try {
      return await this.#producer;
    } catch (error) {
      this.#producer = undefined;
      throw error;
    }
  }
}
