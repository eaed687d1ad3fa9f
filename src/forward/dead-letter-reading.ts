/** A dead letter as it is found in Kafka: what it says of itself, and the message that it was (see dead-letter-record.ts). */
import { Origin, type Message, type MessageProperties } from '../message.ts';
import { headerNames } from '../routes/index.ts';
import { H } from './record-headers.ts';

/** A Kafka record as it is read; kafka/read-batch.ts gives such. */
export interface FoundRecord {
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[];
}

export interface FoundDeadLetter {
  readonly partition: number;
  readonly offset: number;
  /** Arrival of the message, milliseconds since the epoch. */
  readonly receivedAt: number;
  readonly sluiceId: string;
  readonly code: string;
  readonly reason: string;
  readonly route: string | undefined;
  readonly originalTopic: string | undefined;
  readonly mqttTopic: string;
  readonly clientId: string;
  readonly payload: Buffer;
  /** undefined: it can be put in again. Else why not. */
  readonly incomplete: string | undefined;
  /** In the order of the record. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** undefined: it is no dead letter of sluice. */
export function readDeadLetter(partition: number, record: FoundRecord): FoundDeadLetter | undefined {
  const header = headersByName(record);
  const code = header.get(H.errorCode);
  if (code === undefined) return undefined;
  const truncated = header.get(H.payloadTruncated);
  const dropped = header.get(H.headersDropped);
  const mqttTopic = header.get(H.topic);
  const clientId = header.get(H.clientId);
  const sluiceId = header.get(H.id);
  return {
    partition,
    offset: record.offset,
    receivedAt: record.timestamp,
    sluiceId: sluiceId ?? '',
    code,
    reason: header.get(H.errorReason) ?? '',
    route: header.get(H.errorRoute),
    originalTopic: header.get(H.originalTopic),
    mqttTopic: mqttTopic ?? '',
    clientId: clientId ?? '',
    payload: record.value ?? Buffer.alloc(0),
    incomplete:
      truncated !== undefined
        ? `its payload of ${truncated} bytes was cut`
        : dropped !== undefined
          ? `${dropped} of its headers were left out`
          : mqttTopic === undefined || clientId === undefined || sluiceId === undefined
            ? 'it does not say its topic, client and sluice-id'
            : undefined,
    headers: record.headers.map(([name, value]) => [name, value?.toString('utf8') ?? '']),
  };
}

/** The message that became this dead letter, under its old name. */
export function messageOf(letter: FoundDeadLetter, record: FoundRecord): Message {
  const header = headersByName(record);
  const qos = Number(header.get(H.qos) ?? 1);
  return {
    clientId: letter.clientId,
    user: header.get(H.user) ?? '',
    topic: letter.mqttTopic,
    payload: letter.payload,
    qos: qos === 0 || qos === 2 ? qos : 1,
    retain: header.get(H.retain) === 'true',
    dup: header.get(H.dup) === 'true',
    origin: header.get(H.will) === 'true' ? Origin.will : Origin.mqtt,
    receivedAt: letter.receivedAt,
    properties: { ...propertiesOf(record, Number(header.get(H.properties) ?? 0)), replayOf: letter.sluiceId },
  };
}

/** Those of the publisher stand behind mqtt-retain; how many there are tells them from the route's own headers. */
function propertiesOf({ headers }: FoundRecord, count: number): MessageProperties {
  const properties: MessageProperties = {};
  const userProperties: [string, string][] = [];
  const from = headers.findIndex(([name]) => name === H.retain) + 1;
  for (const [name, bytes] of headers.slice(from, from + count)) {
    const text = bytes?.toString('utf8') ?? '';
    switch (name) {
      case headerNames.CONTENT_TYPE:
      case headerNames.DISPLACED_CONTENT_TYPE:
        properties.contentType = text;
        break;
      case H.responseTopic:
        properties.responseTopic = text;
        break;
      case H.correlationData:
        properties.correlationData = bytes ?? Buffer.alloc(0);
        break;
      case H.messageExpiryInterval:
        properties.messageExpiryInterval = Number(text);
        break;
      case H.payloadFormatIndicator:
        properties.payloadFormatIndicator = text === '1';
        break;
      default:
        userProperties.push([withoutPrefix(name), text]);
    }
  }
  if (userProperties.length > 0) properties.userProperties = userProperties;
  return properties;
}

function withoutPrefix(name: string): string {
  const { USER_PROPERTY_PREFIX } = headerNames;
  return name.startsWith(USER_PROPERTY_PREFIX) ? name.slice(USER_PROPERTY_PREFIX.length) : name;
}

/** The first of each name; sluice's own come once. */
function headersByName({ headers }: FoundRecord): Map<string, string> {
  const byName = new Map<string, string>();
  for (const [name, value] of headers) {
    if (!byName.has(name)) byName.set(name, value?.toString('utf8') ?? '');
  }
  return byName;
}
