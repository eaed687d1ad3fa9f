/**
 * Makes Kafka records of a buffered message: one per route that matches. On the hot path: what repeats is encoded once
 * and remembered per (topic, client id), so that a record costs a few copies and the digits of its sluice-id.
 *
 *     key      the route's key template (default: client id)
 *     value    the payload, byte for byte
 *     headers  see record-headers.ts
 *     time     arrival
 */
import { RecordWriter } from '../kafka/record.ts';
import type { Message } from '../message.ts';
import type { Route, Router } from '../routes/index.ts';
import { writeDeadLetter, type DeadLetter } from './dead-letter-record.ts';
import type { MappedRecord } from './mapping.ts';
import { PlanCache } from './plan-cache.ts';
import { PropertyWriter } from './property-headers.ts';
import {
  deliveryBlock,
  planMessage,
  tailBlock,
  tailBlocks,
  type MessagePlan,
  type RecordPlan,
  type TailBlocks,
} from './record-plan.ts';
import { SluiceIdWriter } from './sluice-id.ts';

/** A record that cannot be made. The message goes to the dead letters with this code and reason. */
export interface MappingFault {
  readonly code: 'NO_ROUTE' | 'ROUTE_TOPIC_ILLEGAL';
  readonly reason: string;
  /** undefined: there is none. */
  readonly route: string | undefined;
}

export interface MapperLimits {
  /** Pairs of (topic, client id) whose records are remembered. */
  readonly cachedPairs: number;
  /** Estimate of the memory that they may take. */
  readonly cacheMaxBytes: number;
}

const defaults: MapperLimits = { cachedPairs: 20_000, cacheMaxBytes: 32 * 1024 * 1024 };

const noFaults: readonly MappingFault[] = Object.freeze([]);

/** For one router: after a reload of the routes, another mapper. */
export class Mapper {
  readonly #router: Router;
  readonly #plans: PlanCache<MessagePlan>;
  readonly #tails: (TailBlocks | undefined)[];
  readonly #writer = new RecordWriter();
  readonly #properties = new PropertyWriter();
  readonly #ids = new SluiceIdWriter();

  constructor(router: Router, limits: Partial<MapperLimits> = {}) {
    this.#router = router;
    this.#tails = router.routes.map(() => undefined);
    this.#plans = new PlanCache({
      maxEntries: limits.cachedPairs ?? defaults.cachedPairs,
      maxBytes: limits.cacheMaxBytes ?? defaults.cacheMaxBytes,
    });
  }

  get statistics(): { readonly cachedPairs: number; readonly cachedBytes: number } {
    return { cachedPairs: this.#plans.size, cachedBytes: this.#plans.bytes };
  }

  /**
   * Appends the message's records to `out`, in the order of the routes, and returns what could not be made of it
   * (nearly always nothing). Where no route matches any more, that is one fault, NO_ROUTE, and no record.
   */
  map(message: Message, offset: number, logId: string, shard: number, out: MappedRecord[]): readonly MappingFault[] {
    const plan = this.#plan(message);
    const { records } = plan;
    if (records.length === 0) {
      return [{ code: 'NO_ROUTE', reason: 'no route matches its topic any more', route: undefined }];
    }
    let faults: MappingFault[] | undefined;
    const id = this.#ids.block(logId, shard, offset);
    for (const record of records) {
      if (record.kind === 'record') {
        out.push(this.#record(message, plan, record, id));
      } else {
        (faults ??= []).push({ code: 'ROUTE_TOPIC_ILLEGAL', reason: record.reason, route: record.route.name });
      }
    }
    return faults ?? noFaults;
  }

  /** Appends the dead letter of a message to `out`: see dead-letter-record.ts. */
  mapDeadLetter(
    message: Message,
    offset: number,
    logId: string,
    shard: number,
    letter: DeadLetter,
    out: MappedRecord[],
  ): void {
    const match = this.#router.match(message.topic).find(({ route }) => route.name === letter.route);
    out.push(writeDeadLetter(this.#writer, message, { logId, shard, offset }, letter, match));
  }

  #plan(message: Message): MessagePlan {
    const known = this.#plans.get(message.topic, message.clientId);
    if (known !== undefined && (known.user === undefined || known.user === message.user)) return known;
    const plan = planMessage(message, this.#router.match(message.topic));
    this.#plans.set(message.topic, message.clientId, plan, plan.bytes);
    return plan;
  }

  #record(
    message: Message,
    { source }: MessagePlan,
    plan: Extract<RecordPlan, { kind: 'record' }>,
    id: Buffer,
  ): MappedRecord {
    const writer = this.#writer;
    const { route, headers } = plan;
    const delivery = deliveryBlock(message);
    const tail = tailBlock(this.#tailOf(route), message);
    writer.begin();
    writer.key(plan.key);
    writer.value(message.payload);
    writer.encodedHeaders(source.bytes, source.count);
    writer.encodedHeaders(delivery.bytes, delivery.count);
    if (message.properties !== undefined) this.#properties.write(writer, message, route);
    if (headers.count > 0) writer.encodedHeaders(headers.bytes, headers.count);
    writer.encodedHeaders(id, 1);
    writer.encodedHeaders(tail.bytes, tail.count);
    const slice = writer.end(message.receivedAt);
    return { slice, topic: plan.topic, keyHash: plan.keyHash, route: route.name, letter: undefined };
  }

  #tailOf(route: Route): TailBlocks {
    return (this.#tails[route.index] ??= tailBlocks(route.name));
  }
}
