import { RecordWriter } from '../../../src/kafka/record.ts';
import { keyHash } from '../../../src/kafka/partitioner.ts';
import type { RecordMapper } from '../../../src/forward/intake.ts';
import type { MappedRecord } from '../../../src/forward/mapping.ts';
import type { Message } from '../../../src/message.ts';

/**
 * A mapper whose routes stand in the MQTT topic: `a+b` makes a record for the Kafka topics a and b, by the routes to-a and to-b;
 * `none` matches no route; `bad!` cannot be mapped at all. The key is the client id; the header `id` is logId:shard:offset.
 */
export class PlainMapper implements RecordMapper {
  readonly #writer = new RecordWriter();
  /** Kafka topics whose route is gone. */
  readonly gone = new Set<string>();
  /** What the records of a Kafka topic need before they can be encoded. */
  readonly awaited = new Map<string, { ready: boolean; what: string }>();

  map(message: Message, offset: number, logId: string, shard: number, out: MappedRecord[]) {
    if (message.topic === 'bad!') throw new Error('cannot be mapped');
    const topics = message.topic === 'none' ? [] : message.topic.split('+').filter((topic) => !this.gone.has(topic));
    if (topics.length === 0) return [{ code: 'NO_ROUTE' as const, reason: 'no route', route: undefined }];
    for (const topic of topics) {
      out.push({
        slice: this.#slice(message, { id: `${logId}:${shard}:${offset}`, topic }, message.payload),
        topic,
        keyHash: keyHash(Buffer.from(message.clientId)),
        route: `to-${topic}`,
        awaits: this.awaited.get(topic)?.ready === false ? this.awaited.get(topic) : undefined,
        letter: undefined,
      });
    }
    return [];
  }

  mapDeadLetter(
    message: Message,
    offset: number,
    logId: string,
    shard: number,
    letter: Parameters<RecordMapper['mapDeadLetter']>[4],
    out: MappedRecord[],
  ): void {
    const { topic, code, reason, route, originalTopic, maxBytes } = letter;
    const headers = { id: `${logId}:${shard}:${offset}`, code, reason, topic: originalTopic ?? '' };
    const payload = maxBytes === undefined ? message.payload : message.payload.subarray(0, Math.max(0, maxBytes - 200));
    out.push({
      slice: this.#slice(message, headers, payload),
      topic,
      keyHash: keyHash(Buffer.from(message.clientId)),
      route: route ?? '',
      letter: { code, reason, route, topic: originalTopic, truncated: maxBytes !== undefined },
    });
  }

  #slice(message: Message, headers: Record<string, string>, payload: Buffer): MappedRecord['slice'] {
    const writer = this.#writer;
    writer.begin();
    writer.key(message.clientId);
    writer.value(payload);
    for (const [name, value] of Object.entries(headers)) writer.header(name, value);
    return writer.end(message.receivedAt);
  }
}
