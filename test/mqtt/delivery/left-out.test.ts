/** What is not sent, and what becomes of packet identifiers that a client may hold all the same. */
import { describe, expect, it } from 'vitest';
import type { Connection } from '../../../src/mqtt/connection.ts';
import { Outbound } from '../../../src/mqtt/delivery/outbound.ts';
import type { Delivery, Publication, QueueChange, QueuedMessage } from '../../../src/mqtt/sessions/store.ts';
import { eventually } from '../../support/eventually.ts';

const PUBLISH_QOS2 = 0x34;
const PUBREL = 0x62;

/** A client that reads what is written or nothing of it, and its session. */
class Client {
  readonly written: Buffer[] = [];
  readonly changes: QueueChange[] = [];
  readonly counters = { forwarded: 0, undelivered: 0, withheld: 0, expired: 0 };
  readonly conn = { writableLength: 0, writableNeedDrain: false };
  readonly outbound: Outbound;
  denied = '';

  constructor(queue: QueuedMessage[] = [], windowMax = 10, reads = true) {
    const mayReceive = (topic: string): boolean => topic !== this.denied;
    const connection = {
      client: { id: 'c', version: 4, conn: this.conn },
      core: { counters: this.counters },
      access: { mayReceive, needsQos: false },
      ending: false,
      write: (bytes: Buffer) => {
        this.written.push(bytes);
        if (!reads) this.conn.writableLength += bytes.length;
      },
    } as unknown as Connection;
    const limits = { windowMax, packetMaxBytes: Infinity, topicAliasMax: 0, waitingMaxBytes: 8 * 2 ** 20 };
    this.outbound = new Outbound(connection, limits, {
      queued: async (_, after) => (after === undefined ? queue : []),
      update: async (_, changes) => void this.changes.push(...changes),
    });
  }

  /** First byte and packet identifier of each packet. */
  get packets(): [type: number, packetId: number][] {
    return this.written.map((bytes) => {
      const type = bytes[0] ?? 0;
      return [type, bytes.readUInt16BE(type === PUBREL ? 2 : 4 + bytes.readUInt16BE(2))];
    });
  }
}

function publication(fields: Partial<Publication> = {}): Publication {
  const payload = Buffer.from('x');
  return { topic: 't', payload, qos: 2, retain: false, properties: undefined, expiresAt: undefined, ...fields };
}

const by = (qos: 0 | 1 | 2): Delivery => ({ qos, retain: false, identifiers: undefined, share: undefined });

describe('a message that was sent, and is not in the queue when its client comes back', () => {
  it('of QoS 2 keeps its identifier until the client has released it [MQTT-4.3.3-4]', async () => {
    const client = new Client();
    client.outbound.resume([{ key: 'gone', packetId: 2, qos: 2, released: false }]);
    await eventually(() => client.outbound.ready);
    expect(client.packets).toEqual([[PUBREL, 2]]);
    for (const key of ['a', 'b']) client.outbound.send(publication(), by(2), key);
    await eventually(() => client.written.length === 3);
    expect(client.packets.slice(1)).toEqual([
      [PUBLISH_QOS2, 1],
      [PUBLISH_QOS2, 3],
    ]);
    expect(client.changes.filter(({ kind }) => kind === 'removed')).toEqual([]);
    client.outbound.pubcomp(2);
    await eventually(() => client.changes.some(({ kind, key }) => kind === 'removed' && key === 'gone'));
  });

  it('of QoS 1 is forgotten at once', async () => {
    const client = new Client();
    client.outbound.resume([{ key: 'gone', packetId: 2, qos: 1, released: false }]);
    await eventually(() => client.changes.length === 1);
    expect(client.changes).toEqual([{ kind: 'removed', key: 'gone' }]);
    expect(client.written).toEqual([]);
  });
});

describe('a message that rules keep from its client', () => {
  it('is left out and removed from the session; one of QoS 2 that was sent before is released', async () => {
    const queued = (key: string): QueuedMessage => ({ key, cursor: key, publication: publication(), delivery: by(2) });
    const client = new Client([queued('new'), queued('sent')]);
    client.denied = 't';
    client.outbound.resume([{ key: 'sent', packetId: 7, qos: 2, released: false }]);
    await eventually(() => client.outbound.ready);
    client.outbound.send(publication(), by(2), 'live');
    client.outbound.send(publication(), by(0), undefined);
    client.outbound.pubcomp(7);
    await eventually(() => client.changes.length === 3);
    expect(client.changes.map(({ kind, key }) => `${kind} ${key}`)).toEqual([
      'removed new',
      'removed live',
      'removed sent',
    ]);
    expect(client.packets).toEqual([[PUBREL, 7]]);
    expect(client.counters.withheld).toBe(4);
  });
});

describe('a message that lives for 0 seconds', () => {
  it('is for a client that can have it the moment it comes', () => {
    const client = new Client([], 1);
    const properties = { messageExpiryInterval: 0 };
    for (let i = 0; i < 3; i++) {
      client.outbound.send(publication({ properties, expiresAt: Date.now() }), by(1), undefined);
    }
    expect(client.written).toHaveLength(1);
    for (const [, packetId] of client.packets) client.outbound.puback(packetId);
    expect(client.written).toHaveLength(1);
    expect(client.counters.expired).toBe(2);
  });
});

describe('a client that reads nothing', () => {
  it('has QoS 0 messages pass it by once 512 KB wait in its socket, but for one that is larger by itself', () => {
    const client = new Client([], 10, false);
    const payload = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 100; i++) client.outbound.send(publication({ payload }), by(0), undefined);
    expect(client.conn.writableLength).toBeLessThanOrEqual(512 * 1024);
    expect(client.counters).toMatchObject({
      forwarded: client.written.length,
      undelivered: 100 - client.written.length,
    });
    expect(client.written.length).toBeGreaterThan(6);
    const idle = new Client([], 10, false);
    idle.outbound.send(publication({ payload: Buffer.alloc(2 ** 20) }), by(0), undefined);
    expect(idle.written).toHaveLength(1);
  });
});
