/** What becomes of JSON under an Avro schema. Read back by avsc here, by Python's fastavro in registry.test.ts. */
import avro from 'avsc';
import { describe, expect, it } from 'vitest';
import { avroEncoder } from '../../../src/payload/registry/avro.ts';
import { bytesOf } from './bytes-of.ts';

const telemetry = {
  type: 'record',
  name: 'Telemetry',
  namespace: 'iot',
  fields: [
    { name: 'id', type: 'string' },
    { name: 't', type: 'double' },
    { name: 'n', type: 'long', default: 7 },
    { name: 'note', type: ['null', 'string'], default: null },
    { name: 'raw', type: 'bytes', default: '' },
    { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['HOT', 'COLD'] }, default: 'HOT' },
    { name: 'list', type: { type: 'array', items: 'int' }, default: [] },
    { name: 'more', type: { type: 'map', values: 'float' }, default: {} },
    { name: 'either', type: ['null', 'int', 'string', { type: 'array', items: 'long' }], default: null },
    { name: 'mac', type: { type: 'fixed', name: 'Mac', size: 2 }, default: '\u0000\u00ff' },
  ],
};

function make(schema: unknown, options: { from?: 'json' | 'binary'; ignoreUnknown?: boolean } = {}) {
  const resolved = {
    subject: 's',
    id: 258,
    version: 1,
    type: 'AVRO' as const,
    text: JSON.stringify(schema),
    references: [],
    imports: [],
  };
  return avroEncoder(resolved, { from: 'json', ignoreUnknown: false, ...options });
}

const encoder = make(telemetry);
const reader = avro.Type.forSchema(telemetry as avro.Schema);

function roundTrip(value: unknown): unknown {
  const bytes = bytesOf(encoder.encode(Buffer.from(JSON.stringify(value))));
  expect(bytes.subarray(0, 5).toString('hex')).toBe('0000000102');
  return JSON.parse(JSON.stringify(reader.fromBuffer(bytes.subarray(5))));
}

describe('JSON to Avro', () => {
  it('encodes a record and fills in what has a default', () => {
    expect(roundTrip({ id: 'd1', t: 21.5 })).toEqual({
      id: 'd1',
      t: 21.5,
      n: 7,
      note: null,
      raw: { type: 'Buffer', data: [] },
      kind: 'HOT',
      list: [],
      more: {},
      either: null,
      mac: { type: 'Buffer', data: [0, 255] },
    });
  });

  it.each([
    ['a string for a union with null', { note: 'hi' }, { note: 'hi' }],
    ['the branch that fits by kind', { either: 5 }, { either: 5 }],
    ['an array in a union', { either: [1, 2] }, { either: [1, 2] }],
    ['a branch named as in Avro’s JSON', { either: { string: 'x' } }, { either: 'x' }],
    ['bytes by code point', { raw: 'ÿA' }, { raw: { type: 'Buffer', data: [255, 65] } }],
    [
      'a map with hostile keys',
      { more: JSON.parse('{"__proto__":1.5,"constructor":2}') as object },
      { more: { constructor: 2 } },
    ],
  ])('takes %s', (_, more, expected) => {
    expect(roundTrip({ id: 'd1', t: 1, ...more })).toMatchObject(expected);
  });

  it.each([
    ['not JSON', 'warm', /^the payload is not JSON/],
    ['not a record', '5', /^it: expected record iot.Telemetry, found 5/],
    ['a missing field', '{"id":"a"}', /^t: is missing/],
    ['a wrong type', '{"id":"a","t":"warm"}', /^t: expected double, found "warm"/],
    ['an unknown field', '{"id":"a","t":1,"x":1}', /^x: is not in the schema/],
    ['a field called __proto__', '{"id":"a","t":1,"__proto__":{}}', /^__proto__: is not in the schema/],
    ['an inherited name for a missing field', '{"t":1}', /^id: is missing/],
    ['a long that JSON cannot hold', '{"id":"a","t":1,"n":9007199254740993}', /^n: expected long/],
    ['a fraction for a long', '{"id":"a","t":1,"n":1.5}', /^n: expected long, found 1.5/],
    ['an int out of range', '{"id":"a","t":1,"list":[2147483648]}', /^list\[0\]: expected int/],
    ['a symbol that is none', '{"id":"a","t":1,"kind":"WARM"}', /^kind: expected enum iot.Kind/],
    ['bytes beyond U+00FF', '{"id":"a","t":1,"raw":"€"}', /^raw: expected bytes/],
    ['fixed of another size', '{"id":"a","t":1,"mac":"abc"}', /^mac: expected fixed iot.Mac/],
    ['no branch of a union', '{"id":"a","t":1,"either":true}', /^either: expected one of null, int, string, array/],
  ])('refuses %s, and says where', (_, payload, reason) => {
    expect(() => bytesOf(encoder.encode(Buffer.from(payload)))).toThrowError(reason);
  });

  it('leaves unknown fields out where asked to', () => {
    const bytes = bytesOf(make(telemetry, { ignoreUnknown: true }).encode(Buffer.from('{"id":"a","t":1,"x":1}')));
    expect(reader.fromBuffer(bytes.subarray(5))).toMatchObject({ id: 'a' });
  });

  it('does not guess which of several records a value is, and takes no time to say so', () => {
    const node = (name: string) => ({
      type: 'record',
      name,
      fields: [{ name: 'next', type: ['null', 'A', 'B'], default: null }],
    });
    const tree = {
      type: 'record',
      name: 'A',
      fields: [{ name: 'next', type: ['null', 'A', node('B')], default: null }],
    };
    const deep = '{"next":'.repeat(90) + 'null' + '}'.repeat(90);
    expect(() => bytesOf(make(tree).encode(Buffer.from(deep)))).toThrowError(/next: expected one of null, A, B/);
  });

  it('refuses what is nested deeper than a stack is safe for', () => {
    const list = { type: 'record', name: 'L', fields: [{ name: 'next', type: ['null', 'L'], default: null }] };
    const nested = (levels: number) => Buffer.from('{"next":'.repeat(levels) + 'null' + '}'.repeat(levels));
    expect(bytesOf(make(list).encode(nested(30))).length).toBeGreaterThan(30);
    expect(() => bytesOf(make(list).encode(nested(10_000)))).toThrowError();
  });
});

describe('Avro binary', () => {
  it('passes what is of the schema, byte for byte', () => {
    const simple = { type: 'record', name: 'S', fields: [{ name: 'a', type: 'int' }] };
    const check = make(simple, { from: 'binary' });
    expect(bytesOf(check.encode(Buffer.of(2))).toString('hex')).toBe('000000010202');
    expect(() => bytesOf(check.encode(Buffer.of()))).toThrowError();
    expect(() => bytesOf(check.encode(Buffer.of(2, 2)))).toThrowError(/trailing/);
  });
});
