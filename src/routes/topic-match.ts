import { isInternalTopicName, kafkaTopicFault } from './kafka-topic.ts';
import { quoted } from './problem.ts';
import type { Route, RouteHeader } from './route.ts';
import type { Template, TemplateMessage } from './template.ts';
import { timeOf } from './timestamp.ts';

/** A record that cannot be made of this message by this route. It goes to the dead letters, with this text. */
export interface RouteFault {
  readonly code: 'ROUTE_TOPIC_ILLEGAL' | 'ROUTE_TOPIC_REFUSED' | 'ROUTE_VALUE_MISSING' | 'ROUTE_VALUE_INVALID';
  readonly fault: string;
}

/** What a device brings as a key may be as long as its payload; a longer one than this is a mistake or an attack. */
const KEY_MAX_BYTES = 65_535;
/** Partitions of a topic are numbered by 31 bits. */
const PARTITION_MAX = 0x7fffffff;

/** One route applied to one MQTT topic: what depends on the topic alone is decided. */
export class TopicMatch {
  readonly route: Route;
  /** undefined: depends on the message, see topicFor(). */
  readonly kafkaTopic: string | RouteFault | undefined;
  /** null: no key. undefined: depends on the message, see keyFor(). */
  readonly key: string | null | undefined;
  /** Values of the filter's named levels. */
  readonly levels: readonly string[];

  constructor(route: Route, topic: string, levels: readonly string[]) {
    this.route = route;
    this.levels = levels;
    const anyone = { clientId: '', topic, user: '' };
    this.kafkaTopic = route.to.topicOnly ? legalTopic(route, route.to.render(anyone, levels) ?? '') : undefined;
    this.key = route.key === null ? null : route.key.topicOnly ? route.key.render(anyone, levels) : undefined;
  }

  /** The record's Kafka topic. `payload` is the parsed one, where a template uses it. */
  topicFor(message: TemplateMessage, payload?: unknown): string | RouteFault {
    if (this.kafkaTopic !== undefined) return this.kafkaTopic;
    const name = this.#text('to', this.route.to, message, payload);
    return typeof name === 'string' ? legalTopic(this.route, name) : name;
  }

  /** The record's key; null: none. */
  keyFor(message: TemplateMessage, payload?: unknown): string | null | RouteFault {
    if (this.key !== undefined) return this.key;
    const { key } = this.route;
    if (key === null) return null;
    const text = this.#text('key', key, message, payload);
    // Only a payload or a user property can be that long.
    if (typeof text !== 'string' || (key.total && !key.usesPayload)) return text;
    const bytes = text.length > KEY_MAX_BYTES ? text.length : Buffer.byteLength(text);
    if (bytes <= KEY_MAX_BYTES) return text;
    return this.#invalid(`the key has more than ${KEY_MAX_BYTES} bytes`);
  }

  /** Number to be taken modulo the number of partitions; undefined: by key. */
  partitionFor(message: TemplateMessage, payload?: unknown): number | RouteFault | undefined {
    const { partition } = this.route;
    if (partition === undefined) return undefined;
    const text = this.#text('partition', partition, message, payload);
    if (typeof text !== 'string') return text;
    if (/^\d{1,10}$/.test(text) && Number(text) <= PARTITION_MAX) return Number(text);
    return this.#invalid(`${quoted(text)} is no partition number`);
  }

  /** Milliseconds since the epoch. */
  timestampFor(message: TemplateMessage & { readonly receivedAt: number }, payload?: unknown): number | RouteFault {
    const { timestamp, timestampUnit } = this.route;
    if (timestamp === undefined) return message.receivedAt;
    const text = this.#text('timestamp', timestamp, message, payload);
    if (typeof text !== 'string') return text;
    return timeOf(text, timestampUnit) ?? this.#invalid(`${quoted(text)} is no time in ${timestampUnit}`);
  }

  /** The value of one of the route's own headers; undefined: the message has not what it names, and there is no such header. */
  headerFor(header: RouteHeader, message: TemplateMessage, payload?: unknown): string | undefined {
    return header.value.render(message, this.levels, payload);
  }

  #text(field: string, template: Template, message: TemplateMessage, payload: unknown): string | RouteFault {
    const text = template.render(message, this.levels, payload);
    if (text !== undefined) return text;
    const name = template.missing(message, this.levels, payload) ?? '';
    return {
      code: 'ROUTE_VALUE_MISSING',
      fault: `route ${quoted(this.route.name)}: the message has no {${name}}, which ${field} needs`,
    };
  }

  #invalid(what: string): RouteFault {
    return { code: 'ROUTE_VALUE_INVALID', fault: `route ${quoted(this.route.name)}: ${what}` };
  }
}

function legalTopic(route: Route, name: string): string | RouteFault {
  if (route.to.constant !== undefined) return name;
  const fault =
    kafkaTopicFault(name) ??
    (isInternalTopicName(name) && !isInternalTopicName(route.to.text)
      ? 'it begins with __, which is for the topics of the cluster itself'
      : undefined);
  const made = `route ${quoted(route.name)} makes ${quoted(name)} of ${quoted(route.to.text)}`;
  if (fault !== undefined) return { code: 'ROUTE_TOPIC_ILLEGAL', fault: `${made}, no Kafka topic: ${fault}` };
  const refusal = route.topics.refusal(name);
  return refusal === undefined ? name : { code: 'ROUTE_TOPIC_REFUSED', fault: `${made}: ${refusal}` };
}
