import type { DownlinkDefinition } from '../../src/downlink/definition.ts';
import type { SourceRecord } from '../../src/kafka/record-source.ts';

export function definition(more: Partial<DownlinkDefinition> = {}): DownlinkDefinition {
  return {
    name: 'test',
    from: 'commands',
    startAt: 'earliest',
    to: 'devices/{key}/commands',
    qos: 1,
    retain: false,
    userProperties: [],
    value: 'raw',
    noSubscriber: 'hold',
    holdTimeoutMs: 60_000,
    acknowledgeTimeoutMs: 30_000,
    deadLetters: 'letters',
    windowRecords: 10,
    windowBytes: 100_000,
    fromSluice: 'skip',
    ...more,
  };
}

export function record(more: {
  offset?: number;
  partition?: number;
  key?: string | Buffer | null;
  value?: string | Buffer | null;
  headers?: [string, string | Buffer][];
  timestamp?: number;
  bytes?: number;
}): SourceRecord {
  const bytes = (given: string | Buffer | null): Buffer | null =>
    given === null ? null : Buffer.from(given as string);
  return {
    topic: 'commands',
    partition: more.partition ?? 0,
    offset: more.offset ?? 0,
    timestamp: more.timestamp ?? 1_000_000,
    key: bytes(more.key === undefined ? 'd1' : more.key),
    value: bytes(more.value === undefined ? 'on' : more.value),
    headers: (more.headers ?? []).map(([name, value]) => [name, Buffer.from(value as string)]),
    bytes: more.bytes ?? 100,
  };
}
