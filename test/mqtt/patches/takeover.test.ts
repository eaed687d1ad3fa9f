import { describe, expect, it } from 'vitest';
import { openSessions } from '../../../src/mqtt/sessions.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, start } from '../support/harness.ts';
import type { RawClient } from '../support/raw-client.ts';

describe('taking over a client id', () => {
  it('tells a client of MQTT 5 (0x8E) and leaves exactly one', async () => {
    const test = await start();
    const first = await raw(test, { version: 5, clientId: 'same' });
    const second = await raw(test, { version: 5, clientId: 'same' });
    await first.untilClosed();
    expect(first.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x8e]);
    await second.ping();
    expect(test.broker.clients().total).toBe(1);
  });

  it('leaves the successor alone when the connection before it ends late', async () => {
    const sessions = await openSessions({ store: 'memory' }, () => undefined);
    const emitter = sessions.emitter;
    const removeListener = emitter.removeListener.bind(emitter);
    // As over Redis: aedes waits for each unsubscription before it removes a client that is gone.
    const removals: (() => void)[] = [];
    emitter.removeListener = (filter, listener, done) => {
      removals.push(() => removeListener(filter, listener, done));
      return emitter;
    };
    const test = await start({ sessions });
    const first = await raw(test, { version: 5, clientId: 'same' });
    first.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/#', qos: 1 }] });
    await first.until('suback');
    first.destroy();
    await eventually(() => removals.length === 1);
    const second = await raw(test, { version: 5, clientId: 'same', properties: { sessionExpiryInterval: 60 } });
    removals[0]?.();
    await second.ping();
    expect(test.broker.clients().total).toBe(1);
    await raw(test, { version: 5, clientId: 'same' });
    await second.untilClosed();
    expect(second.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x8e]);
  });

  it('works again and again, whenever the connection before it ends', async () => {
    const test = await start();
    // Subscriptions make aedes end a connection over several turns of the event loop: the gap in which the successor comes.
    const clients: RawClient[] = [];
    for (let i = 0; i < 30; i++) {
      const client = await raw(test, { version: 5, clientId: 'same', properties: { sessionExpiryInterval: 0 } });
      const subscriptions = Array.from({ length: 5 }, (_, index) => ({ topic: `r/${index}`, qos: 1 as const }));
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
      await client.until('suback');
      clients.push(client);
      if (i % 2 === 0) client.socket.resetAndDestroy();
    }
    const last = await raw(test, { version: 5, clientId: 'same' });
    await eventually(() => clients.every(({ closed }) => closed));
    expect(test.broker.clients().total).toBe(1);
    const successor = await raw(test, { version: 5, clientId: 'same' });
    await last.untilClosed();
    expect(last.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x8e]);
    await successor.ping();
  });
});
