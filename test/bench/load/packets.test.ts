import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { connectPacket, publishRing, pubrelRing } from '../../../bench/load/packets.mjs';

interface Packet {
  cmd: string;
  [field: string]: unknown;
}

interface Parser {
  on(event: 'packet', listener: (packet: Packet) => void): void;
  parse(bytes: Buffer): number;
}

// The parser of the broker under test: what it reads is what the benchmark sends.
const mqttPacket = createRequire(createRequire(import.meta.url).resolve('aedes'))('mqtt-packet') as {
  parser(): Parser;
};

function parse(bytes: Buffer) {
  const packets: Packet[] = [];
  const parser = mqttPacket.parser();
  parser.on('packet', (packet) => packets.push(packet));
  expect(parser.parse(bytes)).toBe(0);
  return packets;
}

describe('the pre-built packets', () => {
  it('connect with a clean session of MQTT 3.1.1', () => {
    expect(parse(connectPacket('bench-7'))).toMatchObject([
      { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'bench-7' },
    ]);
  });

  it.each([0, 1, 2] as const)('publish one message per slot with QoS %i, behind one another', (qos) => {
    const { ring, packetBytes } = publishRing({ topic: 'bench/7', publisher: 7, qos, sizeBytes: 200, slots: 3 });
    expect(ring.length).toBe(3 * packetBytes);
    const packets = parse(ring);
    expect(packets).toHaveLength(3);
    for (const [slot, packet] of packets.entries()) {
      expect(packet).toMatchObject({ cmd: 'publish', topic: 'bench/7', qos, retain: false, dup: false });
      if (qos > 0) expect(packet.messageId).toBe(slot + 1);
      expect(packet.payload).toHaveLength(200);
    }
  });

  it('release each slot by its packet id', () => {
    expect(parse(pubrelRing(2))).toMatchObject([
      { cmd: 'pubrel', messageId: 1 },
      { cmd: 'pubrel', messageId: 2 },
    ]);
  });
});
