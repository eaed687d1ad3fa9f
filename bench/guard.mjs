#!/usr/bin/env node
/**
 * npm run bench:guard: what the guard (src/mqtt/guard) costs per PUBLISH, in CPU time, beside what mqtt-packet takes to parse
 * the same bytes. Ends with 1 where a QoS 1 PUBLISH costs more than its limit.
 */
import mqttPacket from 'mqtt-packet';
import { Guard } from '../dist/mqtt/guard/guard.js';
import { connectPacket, publishRing } from './load/packets.mjs';

const LIMIT_NS = 500;
const SLOTS = 200;
const ROUNDS = 3_000;
const RUNS = 5;
const TOPIC = 'devices/device-123456/telemetry';
const limits = { connectMaxBytes: 65_536, packetMaxBytes: 262_144, topicAliasMaximum: 32, topicLevelsMax: 100 };
const ignore = () => undefined;

/** CPU time for one packet, the least of several runs: what other processes cost is no matter of ours. */
function cpuNsPerPacket(take) {
  for (let round = 0; round < ROUNDS; round += 1) take();
  let least = Infinity;
  for (let run = 0; run < RUNS; run += 1) {
    const before = process.cpuUsage();
    for (let round = 0; round < ROUNDS; round += 1) take();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / (ROUNDS * SLOTS));
  }
  return Math.round(least);
}

/** The ring as MQTT 5, with these properties in each PUBLISH. */
function withProperties(ring, packetBytes, properties) {
  const packets = [];
  for (let at = 0; at < ring.length; at += packetBytes) {
    const packet = ring.subarray(at, at + packetBytes);
    const idEnd = 3 + 2 + TOPIC.length + 2;
    const body = Buffer.concat([
      packet.subarray(3, idEnd),
      Buffer.of(properties.length),
      properties,
      packet.subarray(idEnd),
    ]);
    packets.push(Buffer.of(0x32, (body.length & 0x7f) | 0x80, body.length >> 7), body);
  }
  return Buffer.concat(packets);
}

const { ring, packetBytes } = publishRing({ topic: TOPIC, publisher: 1, qos: 1, sizeBytes: 200, slots: SLOTS });
const connectV5 = Buffer.from(connectPacket('bench'));
const v5 = Buffer.concat([
  Buffer.of(0x10, connectV5[1] + 1),
  connectV5.subarray(2, 8),
  Buffer.of(5),
  connectV5.subarray(9, 12),
  Buffer.of(0),
  connectV5.subarray(12),
]);
const three = Buffer.concat([
  Buffer.of(0x02, 0, 0, 0, 60, 0x03, 0, 4),
  Buffer.from('json'),
  Buffer.of(0x26, 0, 1, 0x61, 0, 1, 0x62),
]);
const cases = [
  ['MQTT 3.1.1, QoS 1, 200 B', connectPacket('bench'), ring, LIMIT_NS],
  ['MQTT 5, QoS 1, 200 B', v5, withProperties(ring, packetBytes, Buffer.alloc(0)), LIMIT_NS],
  ['MQTT 5, QoS 1, 200 B, 3 properties', v5, withProperties(ring, packetBytes, three), Infinity],
];
for (const [name, connect, bytes, limitNs] of cases) {
  const guard = new Guard(limits);
  const violation = guard.take(connect, ignore) ?? guard.take(bytes, ignore);
  if (violation !== undefined) throw violation;
  const guardNs = cpuNsPerPacket(() => guard.take(bytes, ignore));
  const parser = mqttPacket.parser();
  parser.on('packet', ignore);
  parser.parse(connect);
  const parserNs = cpuNsPerPacket(() => parser.parse(bytes));
  const limit = limitNs === Infinity ? '' : `, limit ${limitNs} ns`;
  console.log(`${name}: guard ${guardNs} ns per PUBLISH${limit}; mqtt-packet takes ${parserNs} ns`);
  if (guardNs > limitNs) process.exitCode = 1;
}
