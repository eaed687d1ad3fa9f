/**
 * Records of routes that look at more than the topic: conditions, payload, a time or partition of their own. The mapper goes
 * around it where a route is plain.
 */
import { encodedHeaderName, encodeHeader, RecordWriter } from '../kafka/record.ts';
import type { Message } from '../message.ts';
import {
  isFault,
  type Element,
  type ValueFault,
  type PayloadView,
  type RouteSet,
  type SchemaInUse,
} from '../payload/index.ts';
import type { Route, RouteFault, TopicMatch } from '../routes/index.ts';
import type { MappedRecord, MappingFault, NoRecord, Rule, Ruled } from './mapping.ts';
import { PropertyWriter } from './property-headers.ts';
import { H } from './record-headers.ts';
import { deliveryBlock, tailBlock, tailBlocks, type TailBlocks } from './record-plan.ts';
import { nameOf } from './sluice-id.ts';

/** Where a message stands in the log. */
export interface Place {
  readonly logId: string;
  readonly shard: number;
  readonly offset: number;
}

const topicName = encodedHeaderName(H.topic);
const clientIdName = encodedHeaderName(H.clientId);
const indexName = encodedHeaderName(H.index);

/** What is decided of a record before it is written. */
interface Decided {
  readonly kind: 'decided';
  readonly topic: string;
  readonly key: string | null;
  readonly partition: number | undefined;
  readonly timeMs: number;
  readonly value: Buffer | string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Beside the payload, about what a record takes that is kept back. */
const KEPT_BACK_BYTES = 100;
const noBytes = Buffer.alloc(0);

/** A record that cannot be encoded yet. */
interface Waiting {
  readonly kind: 'waiting';
  readonly topic: string;
  readonly schema: SchemaInUse;
}

export class ShapedRecords {
  readonly #routes: RouteSet;
  readonly #now: () => number;
  readonly #writer = new RecordWriter();
  readonly #properties = new PropertyWriter();
  /** By index of the route. */
  readonly #tails: (TailBlocks | undefined)[] = [];
  readonly #ruled: Partial<Record<Rule, Ruled>>[] = [];

  /** `now`: milliseconds since the epoch. */
  constructor(routes: RouteSet, now: () => number) {
    this.#routes = routes;
    this.#now = now;
  }

  /**
   * Appends the route's records of the message to `out`. Returns why there is none, or not all that there should be; undefined:
   * all is made.
   */
  make(
    match: TopicMatch,
    message: Message,
    view: PayloadView,
    place: Place,
    out: MappedRecord[],
  ): NoRecord | undefined {
    const { route } = match;
    const value = this.#routes.values[route.index];
    if (value === undefined) throw new RangeError(`there is no value for route ${route.index}`);
    const applies = value.applies(message, match, view);
    if (applies === false) return this.#rule(route, 'filtered');
    if (isFault(applies)) return this.#invalid(route, applies);
    if (this.#expired(route, message)) return this.#rule(route, 'expired');
    if (route.sample < 1 && !isSampled(place, route.sample)) return this.#rule(route, 'sampled');
    const elements = value.elements(message, match, view);
    if (isFault(elements)) return this.#invalid(route, elements);
    let fault: NoRecord | undefined;
    for (const element of elements) {
      const decided = this.#decide(match, message, element, place);
      if ('kind' in decided) {
        out.push(
          decided.kind === 'decided'
            ? this.#write(match, message, element, decided, place)
            : waitingRecord(route, decided, element),
        );
      }
      // One of them tells what is wrong; the others are made all the same.
      else fault ??= this.#refused(route, decided, element);
    }
    return fault ?? (elements.length === 0 ? this.#rule(route, 'empty') : undefined);
  }

  #expired({ expireMs, honorMessageExpiry }: Route, message: Message): boolean {
    if (expireMs === Infinity && !honorMessageExpiry) return false;
    const ageMs = this.#now() - message.receivedAt;
    const ownMs = honorMessageExpiry ? (message.properties?.messageExpiryInterval ?? Infinity) * 1000 : Infinity;
    return ageMs > Math.min(expireMs, ownMs);
  }

  #decide(
    match: TopicMatch,
    message: Message,
    element: Element,
    place: Place,
  ): Decided | Waiting | RouteFault | ValueFault {
    const payload = element.json?.value;
    const topic = match.topicFor(message, payload);
    if (typeof topic !== 'string') return topic;
    const key = match.keyFor(message, payload);
    if (typeof key === 'object' && key !== null) return key;
    const partition = match.partitionFor(message, payload);
    if (typeof partition === 'object') return partition;
    const timeMs = match.timestampFor(message, payload);
    if (typeof timeMs === 'object') return timeMs;
    const value = this.#routes.values[match.route.index]!;
    const schema = value.waitsFor(topic);
    if (schema !== undefined) return { kind: 'waiting', topic, schema };
    const encoded = value.encode(element, message, match, nameOf(message, place), timeMs, topic);
    if (isFault(encoded)) return encoded;
    return { kind: 'decided', topic, key, partition, timeMs, value: encoded.value, headers: encoded.headers };
  }

  #write(match: TopicMatch, message: Message, element: Element, decided: Decided, place: Place): MappedRecord {
    const writer = this.#writer;
    const { route } = match;
    const { topic, key, partition, timeMs, value, headers } = decided;
    const { index } = element;
    writer.begin();
    writer.key(key);
    const keyHash = partition ?? writer.keyHash();
    writer.value(value);
    writer.namedHeader(topicName, message.topic);
    writer.namedHeader(clientIdName, message.clientId);
    const delivery = deliveryBlock(message);
    writer.encodedHeaders(delivery.bytes, delivery.count);
    if (message.properties !== undefined) this.#properties.write(writer, message, route);
    for (const header of route.headers) {
      const text = match.headerFor(header, message, element.json?.value);
      if (text !== undefined) writer.header(header.name, text);
    }
    for (const [name, text] of headers) if (!isSetBy(route, name)) writer.header(name, text);
    writer.encodedHeaders(encodeHeader(H.id, nameOf(message, place)), 1);
    if (index !== undefined) writer.namedHeader(indexName, String(index));
    const tail = tailBlock((this.#tails[route.index] ??= tailBlocks(route.name)), message);
    writer.encodedHeaders(tail.bytes, tail.count);
    return { slice: writer.end(timeMs), topic, keyHash, route: route.name, index, letter: undefined };
  }

  #refused(route: Route, fault: RouteFault | ValueFault, { index }: Element): NoRecord {
    const said = isFault(fault) ? fault.reason : fault.fault;
    const reason = index === undefined ? said : `element ${index}: ${said}`;
    // Where the name of a topic is at fault it is the route that does not fit its devices: never dropped.
    const isTopic = fault.code === 'ROUTE_TOPIC_ILLEGAL' || fault.code === 'ROUTE_TOPIC_REFUSED';
    if (isTopic) return { code: fault.code, reason, route: route.name };
    return this.#invalid(route, { code: fault.code, reason });
  }

  /** `reject` has done its part at admission: what comes here was taken before the route said so. */
  #invalid(route: Route, { code, reason }: Pick<MappingFault, 'code' | 'reason'>): NoRecord {
    return route.onInvalid === 'drop' ? this.#rule(route, 'invalid') : { code, reason, route: route.name };
  }

  #rule(route: Route, rule: Rule): Ruled {
    const known = (this.#ruled[route.index] ??= {});
    return (known[rule] ??= { rule, route: route.name });
  }
}

function waitingRecord(route: Route, { topic, schema }: Waiting, { index, bytes }: Element): MappedRecord {
  const slice = { slab: noBytes, start: 0, end: bytes.length + KEPT_BACK_BYTES, timestamp: 0 };
  return { slice, topic, keyHash: -1, route: route.name, index, awaits: schema, letter: undefined };
}

/** The route's own content-type stands in front of the one that the value brings. */
function isSetBy(route: Route, name: string): boolean {
  return route.headers.length > 0 && route.headers.some((header) => header.name.toLowerCase() === name);
}

/** By the place in the log: every repeat is decided in the same way. */
function isSampled({ shard, offset }: Place, part: number): boolean {
  let hash = Math.imul((offset % 0x7fffffff) ^ Math.imul(shard + 1, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 < part;
}
