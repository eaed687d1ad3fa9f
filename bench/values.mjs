#!/usr/bin/env node
/**
 * npm run bench:values: CPU time that the forward side takes to make the records of one message, by what its route does with the
 * payload. The first row is the plain route, `value: raw`; the others are told as multiples of it. No network, no Kafka.
 */
import { Mapper } from '../dist/forward/mapper.js';
import { compileRouteSet } from '../dist/payload/index.js';
import { avroEncoder } from '../dist/payload/registry/avro.js';
import { jsonSchemaEncoder } from '../dist/payload/registry/json-schema.js';
import { protobufEncoder } from '../dist/payload/registry/protobuf.js';
import { SchemaInUse } from '../dist/payload/registry/schemas.js';

const MESSAGES = 20_000;
const RUNS = 5;
const DEVICES = 500;

const avro = JSON.stringify({
  type: 'record',
  name: 'Reading',
  fields: [
    { name: 'id', type: 'string' },
    { name: 't', type: 'double' },
    { name: 'unit', type: 'string' },
  ],
});
const proto = 'syntax = "proto3"; message Reading { string id = 1; double t = 2; string unit = 3; }';
const jsonSchema = JSON.stringify({
  type: 'object',
  properties: { id: { type: 'string' }, t: { type: 'number' }, unit: { type: 'string' } },
  required: ['id', 't'],
});
const texts = { AVRO: avro, PROTOBUF: proto, JSON: jsonSchema };
const encoders = { AVRO: avroEncoder, PROTOBUF: protobufEncoder, JSON: jsonSchemaEncoder };

/** As if the registry had answered. */
function schemas(wanted) {
  const schema = new SchemaInUse(wanted);
  const resolved = { ...wanted, text: texts[wanted.type], id: 1, version: 1, references: [], imports: [] };
  schema.encoder = encoders[wanted.type](resolved, wanted);
  return schema;
}

const rows = [
  ['raw', {}],
  ['raw, key and a header of the topic', { key: '{device}', headers: { device: '{device}' } }],
  ['raw, when: qos', { when: 'qos > 0' }],
  ['raw, when: payload', { when: 'payload.t > 0.0' }],
  ['json', { value: 'json' }],
  ['json, schema from a file', { value: 'json', schema: 'reading.json' }],
  ['json, key of the payload', { value: 'json', key: '{payload.id}' }],
  ['json, fields', { value: 'json', fields: { drop: ['unit'], add: { device: '{device}' } } }],
  ['envelope', { value: 'envelope' }],
  ['cloudevents', { value: 'cloudevents' }],
  ['avro', { value: 'avro' }],
  ['protobuf', { value: 'protobuf' }],
  ['jsonSchema', { value: 'jsonSchema' }],
];

const messages = Array.from({ length: MESSAGES }, (_, n) => ({
  clientId: `device-${n % DEVICES}`,
  user: '',
  topic: `devices/device-${n % DEVICES}/telemetry`,
  payload: Buffer.from(JSON.stringify({ id: `device-${n % DEVICES}`, t: (n % 1000) / 8 + 0.5, unit: 'C' })),
  qos: 1,
  retain: false,
  dup: false,
  origin: 0,
  receivedAt: 1_700_000_000_000,
  properties: undefined,
}));

function mapperOf(route) {
  const definition = { name: 'r', from: 'devices/{device}/telemetry', to: 'iot', ...route };
  return new Mapper(compileRouteSet([definition], () => jsonSchema, {}, schemas));
}

/** The least of several runs: what other processes cost is no matter of ours. */
function nsPerMessage(mapper) {
  const out = [];
  let least = Infinity;
  for (let run = 0; run <= RUNS; run += 1) {
    const before = process.cpuUsage();
    for (let n = 0; n < MESSAGES; n += 1) {
      out.length = 0;
      mapper.map(messages[n], n + 1, 'logid', 0, out);
      if (out.length !== 1) throw new Error('a record is missing');
    }
    const { user, system } = process.cpuUsage(before);
    // The first run warms up.
    if (run > 0) least = Math.min(least, ((user + system) * 1000) / MESSAGES);
  }
  return least;
}

let raw;
for (const [name, route] of rows) {
  const ns = nsPerMessage(mapperOf(route));
  raw ??= ns;
  console.log(`${name.padEnd(36)} ${ns.toFixed(0).padStart(7)} ns  ${(ns / raw).toFixed(2).padStart(6)} x raw`);
}
