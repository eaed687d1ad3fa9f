import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { raw, rawOpen, start } from './support/harness.ts';
import type { RawClient } from './support/raw-client.ts';
import type { TestBroker } from './support/test-broker.ts';

const versions = [4, 5] as const;
const kept = (version: 4 | 5, seconds = 600): Record<string, unknown> => ({
  version,
  clean: false,
  ...(version === 5 ? { properties: { sessionExpiryInterval: seconds } } : {}),
});

async function gone(test: TestBroker, client: RawClient): Promise<void> {
  const before = test.broker.connections;
  client.destroy();
  await eventually(() => test.broker.connections === before - 1);
}

const connack = (client: RawClient): Record<string, unknown> | undefined =>
  client.of('connack')[0] as unknown as Record<string, unknown> | undefined;

describe.each(versions)('Session Present, version %i', (version) => {
  it('is true for a session that was kept, subscriptions or not, and false after a clean start [MQTT-3.2.2-2], [MQTT-3.2.2-3]', async () => {
    const test = await start();
    const present: unknown[] = [];
    for (const clean of [false, false, true, false]) {
      const client = await raw(test, { ...kept(version), clean, clientId: 'device' });
      present.push(connack(client)?.['sessionPresent']);
      await gone(test, client);
    }
    // In MQTT 3.1.1 a clean session is not kept; in MQTT 5 one that starts clean may be.
    expect(present).toEqual([false, true, false, version === 5]);
  });
});

describe('CONNACK of MQTT 5', () => {
  it('declares what is limited, and leaves out what is not', async () => {
    const test = await start({ limits: { maxPacketSizeBytes: 100_000, receiveMaximum: 77 } });
    const client = await raw(test, { version: 5, keepalive: 1_000 });
    expect(connack(client)?.['properties']).toEqual({
      receiveMaximum: 77,
      maximumPacketSize: 100_000,
      topicAliasMaximum: 32,
    });
  });

  it('assigns a client id, another one each time, which serves to come back [MQTT-3.2.2-16]', async () => {
    const test = await start();
    const first = await raw(test, { ...kept(5), clean: true, clientId: '' });
    const second = await raw(test, { version: 5, clientId: '' });
    const assigned = (client: RawClient): string =>
      String(client.of('connack')[0]?.properties?.assignedClientIdentifier);
    expect(assigned(first)).toMatch(/^sluice-.{36}$/);
    expect(assigned(second)).not.toBe(assigned(first));
    await gone(test, first);
    const again = await raw(test, { ...kept(5), clientId: assigned(first) });
    expect(again.of('connack')[0]).toMatchObject({ sessionPresent: true });
    expect(again.of('connack')[0]?.properties?.assignedClientIdentifier).toBeUndefined();
  });

  it('tells the keep alive that holds where the client wants a longer one, or none, and ends the connection by it', async () => {
    const test = await start({ limits: { keepAliveMaxSeconds: 1 } });
    const keepAlive = async (keepalive: number): Promise<[unknown, RawClient]> => {
      const client = await raw(test, { version: 5, clientId: `k${keepalive}`, keepalive });
      return [client.of('connack')[0]?.properties?.serverKeepAlive, client];
    };
    const [own] = await keepAlive(1);
    const [limited, silent] = await keepAlive(120);
    const [none] = await keepAlive(0);
    expect([own, limited, none]).toEqual([undefined, 1, 1]);
    await silent.untilClosed();
    // MQTT 3.1.1 cannot be told.
    const old = await raw(test, { clientId: 'old', keepalive: 120 });
    await old.ping();
  });

  it('tells the session expiry that holds where the client wants a longer one', async () => {
    const test = await start({ limits: { sessionExpiryMaxSeconds: 100 } });
    const expiry = async (sessionExpiryInterval: number): Promise<unknown> => {
      const client = await raw(test, { version: 5, clientId: 'e', properties: { sessionExpiryInterval } });
      return client.of('connack')[0]?.properties?.sessionExpiryInterval;
    };
    expect([await expiry(99), await expiry(101), await expiry(0xffff_ffff)]).toEqual([undefined, 100, 100]);
  });

  it('refuses enhanced authentication [MQTT-4.12.0-1]', async () => {
    const test = await start();
    const client = await rawOpen(test, 5);
    const properties = { authenticationMethod: 'SCRAM-SHA-1' };
    client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'c', clean: true, properties });
    await client.untilClosed();
    expect(client.of('connack').map(({ reasonCode }) => reasonCode)).toEqual([0x8c]);
  });
});

describe('a will with a delay', () => {
  const withWill = (delay: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
    version: 5,
    clientId: 'device',
    clean: false,
    properties: { sessionExpiryInterval: 600 },
    will: {
      topic: 'r/will',
      payload: Buffer.from('gone'),
      qos: 1,
      retain: false,
      properties: { willDelayInterval: delay },
    },
    ...more,
  });

  it('is not sent when the client resumes its session in time [MQTT-3.1.3-9]', async () => {
    const test = await start();
    await gone(test, await raw(test, withWill(1)));
    const back = await raw(test, { ...kept(5), clientId: 'device' });
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    await back.ping();
    expect(test.store.payloads('r/will')).toEqual([]);
  });

  it.each(['after it was gone', 'as a take-over'])(
    'is sent when the client starts its session anew, %s: the session it belongs to has ended (§3.1.3.2.2)',
    async (how) => {
      const test = await start();
      const client = await raw(test, withWill(600));
      if (how === 'after it was gone') await gone(test, client);
      await raw(test, { version: 5, clientId: 'device', clean: true });
      await eventually(() => test.store.payloads('r/will').length === 1);
    },
  );

  it('is sent when the session ends before the delay does', async () => {
    const test = await start();
    await gone(test, await raw(test, withWill(600, { properties: { sessionExpiryInterval: 1 } })));
    await eventually(() => test.store.payloads('r/will').length === 1, 5_000);
  });
});
