import { describe, expect, it } from 'vitest';
import { openSessions } from '../../../src/mqtt/sessions.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, rawOpen, start } from '../support/harness.ts';
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

  it('leaves the connection that holds the id alone when one that only waits for it goes away', async () => {
    const sessions = await openSessions({ store: 'memory' }, () => undefined);
    const { store } = sessions;
    const read = store.read.bind(store);
    const waiting: (() => void)[] = [];
    store.read = async (clientId) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return read(clientId);
    };
    const test = await start({ sessions });
    const connect = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'same', clean: true } as const;
    const first = await rawOpen(test, 5);
    first.send(connect);
    await eventually(() => waiting.length === 1);
    const second = await rawOpen(test, 5);
    second.send(connect);
    // A CONNECT that came later has been looked at, so the second has.
    const other = await rawOpen(test, 5);
    other.send({ ...connect, clientId: 'other' });
    await eventually(() => waiting.length === 2);
    second.destroy();
    await eventually(() => test.broker.connections === 2);
    store.read = read;
    for (const goOn of waiting) goOn();
    await first.until('connack');
    await first.ping();
    await raw(test, { version: 5, clientId: 'same' });
    await first.untilClosed();
    expect(first.of('disconnect').map(({ reasonCode }) => reasonCode)).toEqual([0x8e]);
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
