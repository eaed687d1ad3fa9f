import { decodeRecord, textHeaders } from '../forward/record-decoder.ts';
import { Mapper } from '../../src/forward/mapper.ts';
import type { MappedRecord, NoRecord } from '../../src/forward/mapping.ts';
import { Origin, type Message } from '../../src/message.ts';
import { compileRouteSet, type FullRouteDefinition } from '../../src/payload/index.ts';

export function message(payload: string | Buffer, more: Partial<Message> = {}): Message {
  return {
    clientId: 'c1',
    user: '',
    topic: 'devices/d7/telemetry',
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    dup: false,
    origin: Origin.mqtt,
    receivedAt: 1_700_000_000_123,
    properties: undefined,
    ...more,
  };
}

export interface Made {
  readonly topic: string;
  readonly key: string | undefined;
  readonly keyHash: number;
  readonly value: string;
  readonly bytes: Buffer;
  readonly time: number;
  /** Without those that every record has. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface Outcome {
  readonly records: readonly Made[];
  readonly without: readonly NoRecord[];
}

const usual = new Set(['mqtt-topic', 'mqtt-client-id', 'mqtt-qos', 'mqtt-retain', 'sluice-id', 'sluice-route']);

export interface Given {
  readonly files?: Readonly<Record<string, string>>;
  readonly now?: number;
  readonly offset?: number;
}

export type RouteText = Partial<FullRouteDefinition>;

export function mapperOf(routes: readonly RouteText[], { files = {}, now = 1_700_000_001_000 }: Given = {}): Mapper {
  const definitions = routes.map((route, index) => ({
    name: `r${index}`,
    from: 'devices/{id}/#',
    to: 'iot',
    ...route,
  }));
  const read = (file: string): string => {
    const text = files[file];
    if (text === undefined) throw new Error('there is no such file');
    return text;
  };
  return new Mapper(compileRouteSet(definitions, read), {}, () => now);
}

/** What the routes make of a message. */
export function make(routes: RouteText | readonly RouteText[], of: Message, given: Given = {}): Outcome {
  const all: readonly RouteText[] = Array.isArray(routes) ? (routes as readonly RouteText[]) : [routes as RouteText];
  return map(mapperOf(all, given), of, given.offset);
}

export function map(mapper: Mapper, of: Message, offset = 42): Outcome {
  const out: MappedRecord[] = [];
  const without = mapper.map(of, offset, 'log', 3, out);
  return { records: out.map(read), without };
}

function read(record: MappedRecord): Made {
  const decoded = decodeRecord(record.slice);
  return {
    topic: record.topic,
    key: decoded.key?.toString(),
    keyHash: record.keyHash,
    value: decoded.value?.toString() ?? '',
    bytes: decoded.value ?? Buffer.alloc(0),
    time: record.slice.timestamp,
    headers: Object.fromEntries(textHeaders(decoded).filter(([name]) => !usual.has(name))),
  };
}
