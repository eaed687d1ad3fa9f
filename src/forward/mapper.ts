/**
 * Makes Kafka records of a buffered message: one per route that matches. On the hot path: what the messages of a topic
 * have in common is encoded once and remembered, so that a record costs a few copies, the client id, and the digits of its
 * sluice-id.
 *
 *     key      the route's key template (default: client id)
 *     value    the payload, byte for byte
 *     headers  see record-headers.ts
 *     time     arrival
 *
 * Remembered per topic and not per topic and client: what that would save on top is less than what its look-ups and its
 * garbage cost as soon as there are many clients (measured).
 */
import { encodedHeaderName, encodeHeader, RecordWriter } from '../kafka/record.ts';
import type { Message } from '../message.ts';
import { PayloadView, type RouteSet } from '../payload/index.ts';
import { ClockCache, type Route, type RouteFault, type TopicMatch } from '../routes/index.ts';
import { writeDeadLetter, type DeadLetter } from './dead-letter-record.ts';
import { isRuled, type MappedRecord, type MappingFault, type NoRecord } from './mapping.ts';
import { PropertyWriter } from './property-headers.ts';
import { H } from './record-headers.ts';
import {
  deliveryBlock,
  planBytes,
  planTopic,
  tailBlock,
  tailBlocks,
  type RecordPlan,
  type TailBlocks,
  type TopicPlan,
} from './record-plan.ts';
import { ShapedRecords } from './shaped-records.ts';
import { SluiceIdWriter } from './sluice-id.ts';

export interface MapperLimits {
  /** MQTT topics whose records are remembered in parts. */
  readonly cachedTopics: number;
  /** Estimate of the memory that they may take. */
  readonly cacheMaxBytes: number;
}

const defaults: MapperLimits = { cachedTopics: 10_000, cacheMaxBytes: 32 * 1024 * 1024 };

const allMade: readonly NoRecord[] = Object.freeze([]);

const topicName = encodedHeaderName(H.topic);
const clientIdName = encodedHeaderName(H.clientId);

/** What is known of a topic. The plan is made when a topic comes for the second time: many never do. */
interface KnownTopic {
  readonly matches: readonly TopicMatch[];
  plan: TopicPlan | undefined;
}

/** For one set of routes: after a reload, another mapper. */
export class Mapper {
  readonly #router: RouteSet['router'];
  /** By index of the route: its records need nothing but what is in here. */
  readonly #plain: readonly boolean[];
  readonly #shaped: ShapedRecords;
  readonly #topics: ClockCache<string, KnownTopic>;
  /** By index of the route. */
  readonly #tails: (TailBlocks | undefined)[];
  readonly #writer = new RecordWriter();
  readonly #properties = new PropertyWriter();
  readonly #ids = new SluiceIdWriter();
  /** Records made, by index of the route. */
  readonly records: Float64Array;

  /** `now`: milliseconds since the epoch. */
  constructor(routes: RouteSet, limits: Partial<MapperLimits> = {}, now: () => number = Date.now) {
    const { router, values } = routes;
    this.#router = router;
    this.#plain = router.routes.map((route) => route.plain && values[route.index]?.plain === true);
    this.#shaped = new ShapedRecords(routes, now);
    this.#tails = router.routes.map(() => undefined);
    this.records = new Float64Array(router.routes.length);
    this.#topics = new ClockCache({
      maxEntries: limits.cachedTopics ?? defaults.cachedTopics,
      maxWeight: limits.cacheMaxBytes ?? defaults.cacheMaxBytes,
    });
  }

  get statistics(): { readonly cachedTopics: number; readonly cachedBytes: number } {
    return { cachedTopics: this.#topics.size, cachedBytes: this.#topics.weight };
  }

  /**
   * Appends the message's records to `out`, in the order of the routes, and returns what makes none, and why (nearly always
   * nothing). Where no route matches any more, that is one fault, NO_ROUTE, and no record.
   */
  map(message: Message, offset: number, logId: string, shard: number, out: MappedRecord[]): readonly NoRecord[] {
    const { matches, plan } = this.#known(message);
    if (matches.length === 0) {
      return [{ code: 'NO_ROUTE', reason: 'no route matches its topic any more', route: undefined }];
    }
    const replayOf = message.properties?.replayOf;
    const id = replayOf === undefined ? this.#ids.block(logId, shard, offset) : encodeHeader(H.id, replayOf);
    let missing: NoRecord[] | undefined;
    let view: PayloadView | undefined;
    for (let index = 0; index < matches.length; index++) {
      const match = matches[index] as TopicMatch;
      const { route } = match;
      if (this.#plain[route.index] === true) {
        const topic = match.topicFor(message);
        if (typeof topic === 'string') out.push(this.#record(message, topic, match, plan, plan?.records[index], id));
        else (missing ??= []).push(topicFault(route, topic));
        if (route.stop) break;
      } else {
        view ??= new PayloadView(message.payload);
        const before = out.length;
        const none = this.#shaped.make(match, message, view, { logId, shard, offset }, out);
        this.records[route.index]! += out.length - before;
        if (none !== undefined) (missing ??= []).push(none);
        if (route.stop && !(none !== undefined && isRuled(none) && none.rule === 'filtered')) break;
      }
    }
    return missing ?? allMade;
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

  #known(message: Message): KnownTopic {
    const { topic } = message;
    const known = this.#topics.get(topic);
    if (known !== undefined) {
      known.plan ??= planTopic(message, known.matches);
      return known;
    }
    const matches = this.#router.match(topic);
    const found: KnownTopic = { matches, plan: undefined };
    if (this.#topics.admits()) this.#topics.set(topic, found, planBytes(topic, matches, message));
    return found;
  }

  #record(
    message: Message,
    topic: string,
    match: TopicMatch,
    plan: TopicPlan | undefined,
    record: RecordPlan | undefined,
    id: Buffer,
  ): MappedRecord {
    const writer = this.#writer;
    const { route } = match;
    this.records[route.index]! += 1;
    writer.begin();
    let keyHash: number;
    if (record?.key !== undefined) {
      writer.key(record.key);
      keyHash = record.keyHash;
    } else {
      // A plain route names only what every message has.
      writer.key(match.keyFor(message) as string | null);
      keyHash = writer.keyHash();
    }
    writer.value(message.payload);
    if (plan !== undefined) writer.encodedHeaders(plan.topicHeader, 1);
    else writer.namedHeader(topicName, message.topic);
    writer.namedHeader(clientIdName, message.clientId);
    const delivery = deliveryBlock(message);
    writer.encodedHeaders(delivery.bytes, delivery.count);
    if (message.properties !== undefined) this.#properties.write(writer, message, route);
    if (record?.headers !== undefined) writer.encodedHeaders(record.headers.bytes, record.headers.count);
    else for (const header of route.headers) writer.header(header.name, match.headerFor(header, message) ?? null);
    writer.encodedHeaders(id, 1);
    const tail = tailBlock((this.#tails[route.index] ??= tailBlocks(route.name)), message);
    writer.encodedHeaders(tail.bytes, tail.count);
    return { slice: writer.end(message.receivedAt), topic, keyHash, route: route.name, letter: undefined };
  }
}

function topicFault(route: Route, { code, fault }: RouteFault): MappingFault {
  return { code, reason: fault, route: route.name };
}
