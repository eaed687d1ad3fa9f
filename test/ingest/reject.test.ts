import { afterEach, describe, expect, it } from 'vitest';
import { compileRouteSet, type RouteSet } from '../../src/payload/index.ts';
import { startTestBroker, type TestBroker } from '../mqtt/support/test-broker.ts';

const routes = (): RouteSet =>
  compileRouteSet(
    [
      { name: 'strict', from: 'r/strict', to: 't', schema: 's', onInvalid: 'reject' },
      { name: 'keyed', from: 'r/keyed', to: 't', key: '{payload.id}', onInvalid: 'reject', when: 'payload.t > 1.0' },
      { name: 'loose', from: 'r/loose', to: 't', value: 'json' },
    ],
    () => '{"type":"object","required":["t"]}',
  );

let running: TestBroker | undefined;
afterEach(() => running?.stop());

const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 0,
    (error: unknown) => (error as { code?: unknown }).code,
  );

describe('a message that a route with onInvalid: reject cannot use', () => {
  it.each([1, 2] as const)(
    'is answered with 0x99 over MQTT 5, QoS %s, is not stored, and the connection goes on',
    async (qos) => {
      running = await startTestBroker({ routes: routes() });
      const client = await running.connect({ protocolVersion: 5 });
      const publish = (topic: string, payload: string): Promise<unknown> =>
        codeOf(client.publishAsync(topic, payload, { qos }));
      expect(await publish('r/strict', '{"x":1}')).toBe(0x99);
      expect(await publish('r/strict', 'no JSON')).toBe(0x99);
      expect(await publish('r/keyed', '{"t":2}')).toBe(0x99);
      expect(await publish('r/keyed', '{"t":"x","id":1}')).toBe(0x99);
      expect(running.store.log).toHaveLength(0);
      expect(await publish('r/strict', '{"t":1}')).toBe(0);
      expect(await publish('r/keyed', '{"t":2,"id":1}')).toBe(0);
      // What the condition does not take is not for this route to judge.
      expect(await publish('r/keyed', '{"t":0}')).toBe(0);
      // Without reject it is for the dead letters.
      expect(await publish('r/loose', 'no JSON')).toBe(0);
      expect(client.connected).toBe(true);
      expect(running.store.log.length).toBeGreaterThan(0);
    },
  );

  it('closes a connection of MQTT 3.1.1', async () => {
    running = await startTestBroker({ routes: routes() });
    const client = await running.connect({ protocolVersion: 4 });
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
    client.publish('r/strict', '{}', { qos: 1 }, () => {});
    await closed;
    expect(running.store.log).toHaveLength(0);
    expect(running.failed.map(({ error }) => error.message)).toEqual(["payload must have required property 't'"]);
  });
});
