import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { bytesOf } from './bytes-of.ts';
import { messagePath } from '../../../src/payload/registry/confluent.ts';
import { protobufEncoder } from '../../../src/payload/registry/protobuf.ts';

const text = `syntax = "proto3"; package iot;
import "google/protobuf/timestamp.proto";
import "units.proto";
message Outer { message In { int32 a = 1; } }
message Telemetry { string id = 1; double t = 2; int64 n = 3; bytes b = 4; units.Unit unit = 5;
  google.protobuf.Timestamp at = 6; oneof either { string x = 7; int32 y = 8; } message Deep { int32 z = 1; } }`;
const units = 'syntax = "proto3"; package units; enum Unit { NONE = 0; CELSIUS = 1; }';

function make(options: { from?: 'json' | 'binary'; ignoreUnknown?: boolean; message?: string } = {}, source = text) {
  const resolved = {
    subject: 's',
    id: 1,
    version: 1,
    type: 'PROTOBUF' as const,
    text: source,
    references: [],
    imports: [{ name: 'units.proto', text: units }],
  };
  return protobufEncoder(resolved, { from: 'json', ignoreUnknown: false, ...options });
}

const encode = (payload: string, options = {}) =>
  bytesOf(make({ message: 'Telemetry', ...options }).encode(Buffer.from(payload)));

describe('JSON to Protobuf', () => {
  it('encodes by the ProtoJSON mapping, imports included', () => {
    const json =
      '{"id":"d1","t":21.5,"n":"9007199254740993","b":"aGk=","unit":"CELSIUS","at":"2020-01-01T00:00:00Z","x":"q"}';
    const bytes = encode(json);
    // Zero byte, id 1, path [1] of the second message.
    expect(bytes.subarray(0, 7).toString('hex')).toBe('00000000010202');
    const reader = protobuf
      .parse('syntax = "proto3"; message T { string id = 1; double t = 2; int64 n = 3; bytes b = 4; int32 unit = 5; }')
      .root.lookupType('T');
    const read = reader.toObject(reader.decode(bytes.subarray(7)), { longs: String });
    expect(read).toMatchObject({ id: 'd1', t: 21.5, n: '9007199254740993', unit: 1 });
  });

  it('takes the first message of the file where none is named', () => {
    expect(bytesOf(make().encode(Buffer.from('{}'))).toString('hex')).toBe('000000000100');
  });

  it('finds a nested message by its name', () => {
    const bytes = bytesOf(make({ message: 'Telemetry.Deep' }).encode(Buffer.from('{"z":1}')));
    expect(bytes.subarray(5).toString('hex')).toBe('0402000801');
  });

  it.each([
    ['not JSON', 'warm', /^the payload is not JSON/],
    ['a wrong type', '{"t":"warm"}', /iot.Telemetry.t: invalid number/],
    ['a fraction for an integer', '{"n":1.5}', /iot.Telemetry.n/],
    ['an unknown field', '{"q":1}', /unknown field: "q"/],
    ['an unknown symbol', '{"unit":"KELVIN"}', /unknown enum value/],
    ['two of a oneof', '{"x":"a","y":1}', /oneof/],
    ['an array', '[]', /iot.Telemetry/],
  ])('refuses %s', (_, payload, reason) => {
    expect(() => encode(payload)).toThrowError(reason);
  });

  it('leaves unknown fields out where asked to', () => {
    expect(encode('{"q":1}', { ignoreUnknown: true }).length).toBe(7);
  });

  it('says which messages there are where the named one is missing', () => {
    expect(() => make({ message: 'Other' })).toThrowError(
      /it has no message Other, but iot.Outer, iot.Outer.In, iot.Telemetry/,
    );
  });

  it('refuses an import that nobody gives', () => {
    expect(() => make({}, 'syntax = "proto3"; import "gone.proto"; message A {}')).toThrowError(/imports gone.proto/);
  });
});

describe('Protobuf binary', () => {
  it('passes what decodes, and refuses what does not', () => {
    const options = { from: 'binary' as const, message: 'Outer' };
    expect(bytesOf(make(options).encode(Buffer.of())).toString('hex')).toBe('000000000100');
    expect(() => bytesOf(make({ ...options, message: 'Outer.In' }).encode(Buffer.of(0x08)))).toThrowError();
  });
});

describe('the path of a message', () => {
  it('is one zero byte for the first, else counted and zigzag', () => {
    expect(messagePath([0]).toString('hex')).toBe('00');
    expect(messagePath([1]).toString('hex')).toBe('0202');
    expect(messagePath([2, 0]).toString('hex')).toBe('040400');
    expect(messagePath([100]).toString('hex')).toBe('02c801');
  });
});
