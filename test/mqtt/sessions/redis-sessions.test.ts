import { Redis as Client } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSessions, type Sessions } from '../../../src/mqtt/sessions.ts';
import { eventually } from '../../support/eventually.ts';
import { occurs } from '../../support/mqtt.ts';
import { startRedis, type Redis } from '../../support/services.ts';
import { afterTest, raw, start } from '../support/harness.ts';
import type { TestBroker } from '../support/test-broker.ts';

const session = { clean: false, version: 5, properties: { sessionExpiryInterval: 3600 } } as const;
let redis: Redis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});

let namespaces = 0;

interface Process {
  readonly test: TestBroker;
  readonly sessions: Sessions;
  silent(topic: string, qos: number): boolean;
}

async function processOf(namespace: string, url = redis.url): Promise<Process> {
  const sessions = await openSessions({ store: 'redis', url, namespace }, () => undefined);
  const test = await start({ sessions, willSweepMs: 400 });
  return { test, sessions, silent: (topic, qos) => test.broker.silent(topic, qos) };
}

async function subscribe(
  { test }: Process,
  clientId: string,
  subscriptions: { topic: string; qos: 0 | 1 | 2 }[],
): Promise<Awaited<ReturnType<typeof raw>>> {
  const client = await raw(test, { ...session, clientId });
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  await client.until('suback');
  return client;
}

async function away({ test }: Process, client: Awaited<ReturnType<typeof raw>>): Promise<void> {
  const before = test.broker.clients().total;
  client.destroy();
  await eventually(() => test.broker.clients().total === before - 1);
}

describe('a process whose sessions are in Redis', () => {
  it('publishes nothing in Redis while it is alone, and knows at once that nobody listens', async () => {
    const own = await startRedis();
    afterTest(() => own.stop());
    const a = await processOf('alone', own.url);
    const info = new Client(own.url);
    afterTest(() => info.disconnect());
    // Heartbeats are published, one in 100 ms; messages are many more.
    const publishes = async (): Promise<number> =>
      Number(/cmdstat_publish:calls=(\d+)/.exec(await info.info('commandstats'))?.[1] ?? 0);
    const listener = await subscribe(a, 'listener', [{ topic: 'r/heard', qos: 0 }]);
    const sender = await a.test.connect();
    const [before, since] = [await publishes(), performance.now()];
    for (let i = 0; i < 500; i++) {
      await sender.publishAsync(i % 2 === 0 ? 'r/heard' : 'r/unheard', String(i), { qos: 1 });
    }
    await listener.until('publish', 250);
    const heartbeats = (performance.now() - since) / 100 + 2;
    expect((await publishes()) - before).toBeLessThanOrEqual(heartbeats);
    expect(listener.of('publish').map(({ payload }) => Number(String(payload)))).toEqual(
      Array.from({ length: 250 }, (_, index) => index * 2),
    );
    expect([a.silent('r/heard', 0), a.silent('r/unheard', 0), a.silent('r/unheard', 1)]).toEqual([false, true, true]);
  });

  it('queues for a stored subscription although it is alone, also after a restart, until that subscription ends', async () => {
    const namespace = `test-${++namespaces}`;
    const first = await processOf(namespace);
    const filters = [
      { topic: 'r/q/+', qos: 1 },
      { topic: 'r/zero', qos: 0 },
    ] as const;
    await away(first, await subscribe(first, 'device', [...filters]));
    expect([first.silent('r/q/a', 1), first.silent('r/q/a', 0)]).toEqual([false, true]);
    expect([first.silent('r/zero', 1), first.silent('r/other', 1)]).toEqual([true, true]);
    const sender = await first.test.connect();
    await sender.publishAsync('r/q/a', 'before', { qos: 1 });
    await first.test.stop();

    const second = await processOf(namespace);
    await eventually(() => second.silent('r/other', 1));
    expect([second.silent('r/q/a', 1), second.silent('r/zero', 1)]).toEqual([false, true]);
    const next = await second.test.connect();
    await next.publishAsync('r/q/a', 'after', { qos: 1 });
    // Deliveries of one publisher are made in turn: with the last one, all are.
    await next.subscribeAsync('last');
    next.publish('last', '');
    await occurs(next, 'message');
    const device = await raw(second.test, { ...session, clientId: 'device' });
    await device.until('publish', 2);
    expect(device.of('publish').map(({ payload }) => String(payload))).toEqual(['before', 'after']);
    device.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['r/q/+'] });
    await device.until('unsuback');
    await away(second, device);
    expect(second.silent('r/q/a', 1)).toBe(true);
  });

  it('reads the subscriptions of more sessions than it reads at a time', async () => {
    const namespace = `test-${++namespaces}`;
    const first = await processOf(namespace);
    const { store } = first.sessions;
    const ids = Array.from({ length: 501 }, (_, index) => `device-${index}`);
    for (const id of ids) {
      void store.enter(id, 3600, 'owner');
      await store.subscribe(id, [{ topic: `r/${id}`, qos: 1 }]);
    }
    await first.test.stop();
    const second = await processOf(namespace);
    await eventually(() => second.silent('r/other', 1));
    expect(ids.filter((id) => second.silent(`r/${id}`, 1))).toEqual([]);
  });

  it('is never silent with another process there, passes it everything from its first moment on, in order and once', async () => {
    const namespace = `test-${++namespaces}`;
    const a = await processOf(namespace);
    await eventually(() => a.silent('r/1', 1));
    const sender = await a.test.connect();
    // Messages are under way on A all the while B comes.
    let sent = 0;
    let stop = false;
    const sending = (async () => {
      while (!stop) {
        const batch = Array.from({ length: 10 }, () => sender.publishAsync('r/1', String(sent++), { qos: 1 }));
        await Promise.all(batch);
      }
    })();
    await eventually(() => sent > 100);
    const b = await processOf(namespace);
    expect([a.silent('r/1', 1), b.silent('r/1', 1)]).toEqual([false, false]);
    const subscriber = await subscribe(b, 'subscriber', [{ topic: 'r/#', qos: 0 }]);
    const firstAfter = sent;
    await eventually(() => sent > firstAfter + 500);
    stop = true;
    await sending;
    await eventually(() => Number(String(subscriber.of('publish').at(-1)?.payload)) === sent - 1);
    const got = subscriber.of('publish').map(({ payload }) => Number(String(payload)));
    expect(got[0]).toBeLessThanOrEqual(firstAfter);
    expect(got).toEqual(Array.from({ length: got.length }, (_, index) => (got[0] ?? 0) + index));
  });

  it('keeps what another process stored, and is silent again once that one is gone without a word', async () => {
    const namespace = `test-${++namespaces}`;
    const [a, b] = [await processOf(namespace), await processOf(namespace)];
    await away(b, await subscribe(b, 'device', [{ topic: 'r/kept', qos: 1 }]));
    await b.sessions.close();
    await eventually(() => a.silent('r/other', 1));
    expect(a.silent('r/kept', 1)).toBe(false);
    const sender = await a.test.connect();
    await sender.publishAsync('r/kept', 'queued', { qos: 1 });
    await sender.subscribeAsync('last');
    sender.publish('last', '');
    await occurs(sender, 'message');
    const device = await raw(a.test, { ...session, clientId: 'device' });
    await device.until('publish');
  });

  it('finds out again who is there after Redis was away', async () => {
    const own = await startRedis();
    afterTest(() => own.stop());
    const a = await processOf('away', own.url);
    await eventually(() => a.silent('r/1', 1));
    // While Redis is away nobody can connect.
    const sender = await a.test.connect();
    await own.stop();
    await sender.publishAsync('r/1', 'without Redis', { qos: 1 });
    await own.start();
    await eventually(() => a.silent('r/1', 1));
    const b = await processOf('away', own.url);
    await eventually(() => !a.silent('r/1', 1));
    const subscriber = await subscribe(b, 'subscriber', [{ topic: 'r/#', qos: 0 }]);
    await eventually(async () => {
      await sender.publishAsync('r/1', 'across', { qos: 1 });
      return subscriber.of('publish').length > 0;
    });
    await b.sessions.close();
    await eventually(() => a.silent('r/1', 1));
  });
});
