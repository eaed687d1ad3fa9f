/** Schemas from a real registry; what is encoded with them is read by Confluent's deserializers for Python. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SluiceError } from '../../../src/errors.ts';
import { RegistryClient } from '../../../src/payload/registry/client.ts';
import { Schemas, type SchemaInUse, type WantedSchema } from '../../../src/payload/registry/schemas.ts';
import { eventually } from '../../support/eventually.ts';
import { startProxy, type Proxy } from '../../support/proxy.ts';
import { confluentPython, deserialize } from '../../support/python.ts';
import { startRegistry, type Registry } from '../../support/services.ts';
import { bytesOf } from './bytes-of.ts';

const avro = (fields: unknown[]): string =>
  JSON.stringify({ type: 'record', name: 'Telemetry', namespace: 'iot', fields });
const field = (name: string, type: unknown, more = {}) => ({ name, type, ...more });
const proto = `syntax = "proto3";
package iot;
import "google/protobuf/timestamp.proto";
message Outer { int32 a = 1; }
message Telemetry { string id = 1; double t = 2; google.protobuf.Timestamp at = 3; message Deep { int32 z = 1; } Deep deep = 4; }
`;

let registry: Registry;
let proxy: Proxy;
let client: RegistryClient;
const running: Schemas[] = [];

beforeAll(async () => {
  await confluentPython();
  registry = await startRegistry();
  proxy = await startProxy(registry.port);
  client = new RegistryClient({
    url: registry.url.replace(`:${registry.port}`, `:${proxy.port}`),
    requestTimeoutMs: 5_000,
  });
}, 300_000);
afterAll(() => Promise.all([proxy?.stop(), registry?.stop()]));
afterEach(async () => {
  for (const schemas of running.splice(0)) schemas.stop();
});

function open(refreshMs = 60_000, autoRegister = true): { schemas: Schemas; said: string[] } {
  const said: string[] = [];
  const schemas = new Schemas(
    client,
    { refreshMs, retryMinMs: 20, retryMaxMs: 200, random: Math.random, autoRegister },
    {
      schemaReady: (subject, { version }) => said.push(`${subject} ${version}`),
      schemaUnavailable: (subject, error, waits) => said.push(`${subject} ${error.code}${waits ? ' waits' : ''}`),
    },
  );
  schemas.start();
  running.push(schemas);
  return { schemas, said };
}

const wanted = (change: Partial<WantedSchema> & Pick<WantedSchema, 'subject'>): WantedSchema => ({
  type: 'AVRO',
  version: 'latest',
  from: 'json',
  ignoreUnknown: false,
  ...change,
});

const ready = (use: SchemaInUse): Promise<unknown> => eventually(() => use.encoder !== undefined);
const encode = (use: SchemaInUse, value: unknown): Buffer =>
  bytesOf(use.encoder!.encode(Buffer.from(JSON.stringify(value))));

describe('schemas of a registry', () => {
  it('encode Avro that Confluent’s deserializer reads, with references', async () => {
    await client.register(
      'units-value',
      'AVRO',
      JSON.stringify({ type: 'enum', name: 'Unit', namespace: 'iot', symbols: ['C', 'F'] }),
    );
    const text = avro([
      field('id', 'string'),
      field('t', 'double'),
      field('unit', 'iot.Unit'),
      field('n', ['null', 'long'], { default: null }),
      field('tags', { type: 'map', values: 'string' }, { default: {} }),
    ]);
    const body = { schema: text, references: [{ name: 'iot.Unit', subject: 'units-value', version: 1 }] };
    const url = `${registry.url}/subjects/referring-value/versions`;
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status).toBe(200);
    const use = open().schemas.use(wanted({ subject: 'referring-value' }));
    await ready(use);
    const values = [
      { id: 'd1', t: 21.5, unit: 'C' },
      { id: 'é', t: -1, unit: 'F', n: 9_007_199_254_740_990, tags: { a: 'b' } },
    ];
    const read = await deserialize({
      registry: registry.url,
      type: 'AVRO',
      values: values.map((value) => encode(use, value)),
    });
    expect(read).toEqual(values.map((value) => ({ n: null, tags: {}, ...value })));
  });

  it('encode Protobuf that Confluent’s deserializer reads, of a message that is not the first', async () => {
    await client.register('proto-value', 'PROTOBUF', proto);
    const { schemas } = open();
    const use = schemas.use(wanted({ subject: 'proto-value', type: 'PROTOBUF', message: 'Telemetry' }));
    await ready(use);
    const values = [
      { id: 'd1', t: 21.5, at: '2020-01-02T03:04:05Z' },
      { id: 'd2', deep: { z: 5 } },
    ];
    const request = { registry: registry.url, type: 'PROTOBUF', proto, message: 'Telemetry' } as const;
    const read = await deserialize({ ...request, values: values.map((value) => encode(use, value)) });
    expect(read).toEqual(values);
    const damaged = encode(use, values[0]).subarray(0, 9);
    expect(await deserialize({ ...request, values: [damaged] })).toEqual([{ error: expect.any(String) as string }]);
  });

  it('check JSON that Confluent’s deserializer reads, as the device wrote it', async () => {
    const text = JSON.stringify({
      $schema: 'http://json-schema.org/draft-07/schema#',
      title: 'Telemetry',
      type: 'object',
      properties: { id: { type: 'string', 'connect.index': 0 }, t: { type: 'number' } },
      required: ['id'],
      additionalProperties: false,
    });
    await client.register('json-value', 'JSON', text);
    const use = open().schemas.use(wanted({ subject: 'json-value', type: 'JSON' }));
    await ready(use);
    const payload = Buffer.from('{ "id":"d1", "t": 1.50 }');
    const value = bytesOf(use.encoder!.encode(payload));
    expect(value.subarray(5)).toEqual(payload);
    expect(await deserialize({ registry: registry.url, type: 'JSON', values: [value] })).toEqual([
      { id: 'd1', t: 1.5 },
    ]);
    expect(() => encode(use, { t: 1 })).toThrowError(/required property 'id'/);
    expect(() => encode(use, { id: 'd1', x: 1 })).toThrowError(/additional properties/);
  });

  it('that were given are taken in that version, and never registered unasked', async () => {
    const mine = avro([field('id', 'string')]);
    const { schemas } = open(60_000, false);
    const use = schemas.use(wanted({ subject: 'given-value', text: mine }));
    await eventually(() => use.error !== undefined);
    expect(use.error?.message).toContain('autoRegister is off');
    await client.register('given-value', 'AVRO', mine);
    await client.register('given-value', 'AVRO', avro([field('id', 'string'), field('t', 'double', { default: 0 })]));
    await ready(use);
    expect(use.encoder?.version).toBe(1);
  });

  it('are asked for again: a newer version is taken, a pinned one stays', async () => {
    await client.register('grows-value', 'AVRO', avro([field('id', 'string')]));
    const { schemas, said } = open(30);
    const latest = schemas.use(wanted({ subject: 'grows-value' }));
    const first = schemas.use(wanted({ subject: 'grows-value', version: 1 }));
    await Promise.all([ready(latest), ready(first)]);
    await client.register('grows-value', 'AVRO', avro([field('id', 'string'), field('t', 'double', { default: 0 })]));
    await eventually(() => latest.encoder?.version === 2);
    expect(first.encoder?.version).toBe(1);
    expect(said).toContain('grows-value 2');
    expect(schemas.use(wanted({ subject: 'grows-value' }))).toBe(latest);
  });

  it('that are not there yet are waited for, said once, and taken when they come', async () => {
    const { schemas, said } = open();
    const use = schemas.use(wanted({ subject: 'later-value' }));
    await eventually(() => use.error !== undefined);
    expect(use.error).toBeInstanceOf(SluiceError);
    expect(use.error?.message).toContain('status 404');
    await client.register('later-value', 'AVRO', avro([field('id', 'string')]));
    await ready(use);
    expect(said).toEqual(['later-value SCHEMA_UNAVAILABLE waits', 'later-value 1']);
    expect(use.error).toBeUndefined();
  });

  it('of another type, or that do not compile, are a fault that names them', async () => {
    await client.register('typed-value', 'PROTOBUF', proto);
    const { schemas } = open();
    const use = schemas.use(wanted({ subject: 'typed-value' }));
    const lacking = schemas.use(wanted({ subject: 'typed-value', type: 'PROTOBUF', message: 'Gone' }));
    await eventually(() => use.error !== undefined && lacking.error !== undefined);
    expect(use.error?.message).toBe('subject typed-value: it is a schema of type PROTOBUF, and the route wants AVRO');
    expect(lacking.error?.message).toContain('it has no message Gone, but iot.Outer, iot.Telemetry');
  });

  it('are registered where the operator asks for it', async () => {
    const use = open().schemas.use(wanted({ subject: 'own-value', text: avro([field('id', 'string')]) }));
    await ready(use);
    expect((await client.schema('own-value', 'latest')).id).toBe(use.encoder?.schemaId);
  });

  it('go on with what is known while the registry hangs, and are not there yet where nothing is', async () => {
    await client.register('hangs-value', 'AVRO', avro([field('id', 'string')]));
    const { schemas, said } = open(30);
    const known = schemas.use(wanted({ subject: 'hangs-value' }));
    await ready(known);
    proxy.hang();
    const unknown = schemas.use(wanted({ subject: 'hangs-value', version: 1 }));
    await eventually(() => known.error !== undefined && unknown.error !== undefined, 20_000);
    expect(known.encoder).toBeDefined();
    expect(unknown.encoder).toBeUndefined();
    expect(said).toContain('hangs-value SCHEMA_UNAVAILABLE');
    expect(said).toContain('hangs-value SCHEMA_UNAVAILABLE waits');
    await proxy.resume();
    await ready(unknown);
    await eventually(() => known.error === undefined, 20_000);
  });
});
