/**
 * A mixed stream through routes with a real registry: what is valid is read by Confluent's deserializers for Python, what is not
 * is in the dead letters with its reason, whether the registry is there or not, and although sluice is killed.
 * `npm run schemas` does it with 100,000 messages.
 */
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RegistryClient, type SchemaType } from '../../src/payload/registry/client.ts';
import { eventually } from '../support/eventually.ts';
import { consumeEach, header, type Consumed } from '../support/kcat.ts';
import { confluentPython, deserialize } from '../support/python.ts';
import { startRegistry, sharedKafka, uniqueTopic, type Registry, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

const MESSAGES = Number(process.env['SLUICE_MIXED_MESSAGES'] ?? 20_000);
const DEVICES = 24;
const PER_DEVICE = Math.floor(MESSAGES / DEVICES);
/** One in so many is invalid. */
const INVALID_EVERY = 20;
const IN_FLIGHT = 200;

const forms = ['json', 'avro', 'proto'] as const;
type Form = (typeof forms)[number];
const types: Record<Form, SchemaType> = { json: 'JSON', avro: 'AVRO', proto: 'PROTOBUF' };

const jsonSchema = JSON.stringify({
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Reading',
  type: 'object',
  properties: {
    id: { type: 'string' },
    n: { type: 'integer', maximum: 2 ** 31 },
    t: { type: 'number' },
    unit: { enum: ['C', 'F'] },
  },
  required: ['id', 'n', 't'],
  additionalProperties: false,
});
const avroSchema = JSON.stringify({
  type: 'record',
  name: 'Reading',
  namespace: 'iot',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'n', type: 'int' },
    { name: 't', type: 'double' },
    { name: 'unit', type: { type: 'enum', name: 'Unit', symbols: ['C', 'F'] }, default: 'C' },
  ],
});
const proto = `syntax = "proto3";
package iot;
enum Unit { C = 0; F = 1; }
message Reading { string id = 1; int32 n = 2; double t = 3; Unit unit = 4; }
`;
const texts: Record<Form, string> = { json: jsonSchema, avro: avroSchema, proto };

interface Way {
  readonly payload: (n: number) => string | Buffer;
  readonly code: 'PAYLOAD_INVALID' | 'SCHEMA_INVALID';
  readonly reason: RegExp;
}

const schemaWay = (payload: string, reason: RegExp): Way => ({
  payload: () => payload,
  code: 'SCHEMA_INVALID',
  reason,
});
const payloadWay = (payload: string | Buffer, reason: RegExp): Way => ({
  payload: () => payload,
  code: 'PAYLOAD_INVALID',
  reason,
});

/** Ten ways to be wrong; the same for each form. */
const ways: readonly Way[] = [
  payloadWay('', /empty/),
  payloadWay(Buffer.from([0x22, 0xff, 0xfe, 0x22]), /not UTF-8/),
  payloadWay('{"id":"d","n":1,', /not JSON/),
  payloadWay('['.repeat(200) + ']'.repeat(200), /nested deeper/),
  schemaWay('{"id":"d","n":1,"t":"warm"}', /\bt\b.*(?:must be number|expected double|invalid number)/),
  schemaWay('{"id":"d","n":1.5,"t":1}', /\bn\b.*(?:must be integer|expected int|integer|int32)/),
  schemaWay('{"id":"d","n":99999999999,"t":1}', /\bn\b.*(?:must be <=|expected int|range|int32)/),
  schemaWay('{"id":"d","n":1,"t":1,"__proto__":{"x":1}}', /additional properties|__proto__/),
  schemaWay('{"id":"d","n":1,"t":1,"unit":"K"}', /unit.*(?:allowed values|expected enum|enum)|unknown enum/),
  schemaWay('[1]', /must be object|expected record|Reading|object/),
];

let kafka: SharedKafka;
let registry: Registry;
let directory: string;
beforeAll(async () => {
  await confluentPython();
  kafka = await sharedKafka();
  registry = await startRegistry();
  directory = await mkdtemp(join(tmpdir(), 'sluice-schemas-'));
}, 300_000);
afterAll(async () => {
  await registry?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** In this order: an empty registry gives the same ids again. */
async function register(topics: Record<Form, string>, some: readonly Form[] = forms): Promise<void> {
  const client = new RegistryClient({ url: registry.url, requestTimeoutMs: 10_000 });
  for (const form of some) await client.register(`${topics[form]}-value`, types[form], texts[form]);
}

const isInvalid = (n: number): boolean => n % INVALID_EVERY === 7;
const wayOf = (device: number, n: number): number => (Math.floor(n / INVALID_EVERY) + device) % ways.length;
const formOf = (device: number): Form => forms[device % forms.length]!;

describe('a mixed stream with a schema registry', () => {
  it(
    'loses nothing and orders everything, through a registry that stops and a kill',
    { timeout: 600_000 },
    async () => {
      const prefix = uniqueTopic('mixed');
      const topics = { json: `${prefix}.json`, avro: `${prefix}.avro`, proto: `${prefix}.proto` };
      const dead = `${prefix}.dead`;
      const raw = `${prefix}.raw`;
      for (const topic of [...Object.values(topics), dead, raw]) await kafka.createTopic(topic, 3);
      const configFile = join(directory, 'sluice.yaml');
      await writeFile(
        configFile,
        JSON.stringify({
          schemaRegistry: { url: registry.url, retryMax: '200ms', timeout: '2s' },
          deadLetter: { topic: dead },
          routes: [
            { from: 'fleet/json/+/+/+', to: topics.json, value: 'jsonSchema' },
            { from: 'fleet/avro/+/+/+', to: topics.avro, value: 'avro' },
            { from: 'fleet/proto/+/+/+', to: topics.proto, value: 'protobuf', registry: { record: 'iot.Reading' } },
            { from: 'raw/#', to: raw },
          ],
        }),
      );
      // The registry has no schema yet: a subject that is missing is waited for, too.
      const sluice = await SluiceProcess.start({ brokers: kafka.brokers, configFile });
      try {
        const third = Math.floor(PER_DEVICE / 3);
        await publish(sluice.url, 0, third);
        await sayRaw(sluice.url, 'a');
        await eventually(async () => (await countOf(raw)) === 1, 60_000, 'a route without a schema was held up');
        const waiting = await sluice.status();
        expect(waiting.ledger.deadLettered, 'only what is no JSON is known to be wrong').toBeLessThanOrEqual(
          Math.ceil((DEVICES * third) / INVALID_EVERY),
        );
        for (const topic of Object.values(topics)) expect(await countOf(topic)).toBe(0);
        expect(waiting.schemas.map(({ waits }) => waits)).toEqual([true, true, true]);
        await register(topics);
        await sluice.drained(300_000);

        // Known schemas are used while the registry is away; after a kill nothing is known.
        await registry.kill();
        await publish(sluice.url, third, third);
        await sluice.kill('SIGKILL');
        await sluice.start();
        await publish(sluice.url, 2 * third, PER_DEVICE - 2 * third);
        await sayRaw(sluice.url, 'b');
        await eventually(async () => (await countOf(raw)) >= 2, 60_000, 'a route without a schema was held up');
        await registry.start();
        await register(topics);
        const { ledger } = await sluice.drained(300_000);

        const invalid = Array.from({ length: PER_DEVICE }, (_, n) => n).filter(isInvalid).length * DEVICES;
        expect(ledger).toMatchObject({
          accepted: DEVICES * PER_DEVICE + 2,
          delivered: DEVICES * PER_DEVICE + 2 - invalid,
          deadLettered: invalid,
          imbalance: 0,
        });
        await checkDeadLetters(dead, invalid);
        for (const form of forms) await checkValid(form, topics[form]);
      } finally {
        await sluice.discard();
      }
    },
  );
});

async function publish(url: string, from: number, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: DEVICES }, async (_, device) => {
      const client = await mqtt.connectAsync(url, { clientId: `device-${device}`, protocolVersion: 5 });
      const open = new Set<Promise<unknown>>();
      for (let n = from; n < from + count; n++) {
        const way = isInvalid(n) ? wayOf(device, n) : undefined;
        const payload = way === undefined ? JSON.stringify(reading(device, n)) : ways[way]!.payload(n);
        const topic = `fleet/${formOf(device)}/device-${device}/${way ?? 'ok'}/${n}`;
        const sent: Promise<unknown> = client.publishAsync(topic, payload, { qos: 1 }).finally(() => open.delete(sent));
        open.add(sent);
        if (open.size >= IN_FLIGHT) await Promise.race(open);
      }
      await Promise.all(open);
      await client.endAsync();
    }),
  );
}

function reading(device: number, n: number) {
  return { id: `device-${device}`, n, t: n / 8 + 0.5, unit: n % 2 === 0 ? 'C' : 'F' };
}

async function sayRaw(url: string, payload: string): Promise<void> {
  const client = await mqtt.connectAsync(url, { clientId: 'raw' });
  await client.publishAsync('raw/x', payload, { qos: 1 });
  await client.endAsync();
}

async function countOf(topic: string): Promise<number> {
  return consumeEach(kafka.brokers, topic, () => undefined);
}

/** Every invalid message once or more, with the code and reason of its way, byte for byte. */
async function checkDeadLetters(topic: string, invalid: number): Promise<void> {
  const seen = new Set<string>();
  const wrong: string[] = [];
  await consumeEach(kafka.brokers, topic, (record) => {
    const mqttTopic = header(record, 'mqtt-topic') ?? '';
    const [, , , kind, n] = mqttTopic.split('/');
    const way = ways[Number(kind)];
    seen.add(mqttTopic);
    const code = header(record, 'sluice-error-code');
    const reason = header(record, 'sluice-error-reason') ?? '';
    const intact = way !== undefined && Buffer.from(way.payload(Number(n))).equals(record.value ?? Buffer.alloc(0));
    if (code !== way?.code || way?.reason.test(reason) !== true || !intact)
      wrong.push(`${mqttTopic}: ${code} ${reason}`);
  });
  expect(wrong.slice(0, 10)).toEqual([]);
  expect(seen.size).toBe(invalid);
}

/** Every valid message is read by Confluent's deserializer; of each device in order, where a kill may repeat a part. */
async function checkValid(form: Form, topic: string): Promise<void> {
  const records: Consumed[] = [];
  await consumeEach(kafka.brokers, topic, (record) => records.push(record));
  const read = (await deserialize({
    registry: registry.url,
    type: types[form],
    values: records.map(({ value }) => value ?? Buffer.alloc(0)),
    ...(form === 'proto' ? { proto, message: 'Reading' } : {}),
  })) as { id?: string; n?: number; error?: string }[];
  expect(read.filter(({ error }) => error !== undefined).slice(0, 5)).toEqual([]);
  const byDevice = new Map<string, Set<number>>();
  for (const [at, value] of read.entries()) {
    const device = String(records[at]!.key);
    expect(value.id).toBe(device);
    const numbers = byDevice.get(device) ?? new Set<number>();
    byDevice.set(device, numbers.add(value.n ?? 0));
  }
  for (let device = 0; device < DEVICES; device++) {
    if (formOf(device) !== form) continue;
    const expected = Array.from({ length: PER_DEVICE }, (_, n) => n).filter((n) => !isInvalid(n));
    expect([...(byDevice.get(`device-${device}`) ?? [])], `device-${device}`).toEqual(expected);
  }
}
