import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { raw, start } from '../support/harness.ts';

const will = { topic: 'r/wills', payload: Buffer.from('dead'), qos: 1, retain: false } as const;

describe.each([4, 5] as const)('keep alive, MQTT version %i', (version) => {
  it('does not run out while the buffer hangs and we do not read: the client stays, and its will is not sent', async () => {
    const test = await start({ appendTimeoutMs: 20_000 });
    const client = await raw(test, { version, keepalive: 1, will });
    test.store.mode = 'hang';
    const began = performance.now();
    // More than is read of a client that has nothing finished.
    for (let id = 1; id <= 10; id++) client.publish('r/1', '.'.repeat(100_000), 1, id);
    const pings = setInterval(() => client.send({ cmd: 'pingreq' }), 500);
    try {
      await eventually(() => performance.now() - began > 3_500 || client.closed);
    } finally {
      clearInterval(pings);
    }
    expect(client.closed).toBe(false);
    expect(client.of('pingresp')).toEqual([]);
    expect(test.broker.counters.published[1]).toBeLessThan(10);
    test.store.mode = 'ok';
    await client.until('puback', 10);
    await client.until('pingresp');
    expect(test.store.payloads('r/wills')).toEqual([]);
  });
});

describe('keep alive', () => {
  const version = 5;

  it('does not run out for a client that waits in silence for its acknowledgement', async () => {
    const test = await start({ appendTimeoutMs: 20_000 });
    const client = await raw(test, { version, keepalive: 1, will });
    test.store.mode = 'hang';
    const began = performance.now();
    client.publish('r/1', 'a', 1, 1);
    await eventually(() => performance.now() - began > 3_000 || client.closed);
    expect(client.closed).toBe(false);
    client.send({ cmd: 'pingreq' });
    await client.until('pingresp');
    expect(client.of('puback')).toEqual([]);
  });

  it('runs out for a client that is read and silent: it is closed, and its will sent', async () => {
    const test = await start();
    const client = await raw(test, { version, keepalive: 1, will });
    await client.untilClosed();
    await eventually(() => test.store.payloads('r/wills').length === 1);
    expect(test.failed.map(({ error }) => error.message)).toEqual(['keep alive timeout']);
  });

  it('runs out for a client that falls silent after the buffer hung', async () => {
    const test = await start({ appendTimeoutMs: 20_000 });
    const client = await raw(test, { version, keepalive: 1 });
    test.store.mode = 'hang';
    client.publish('r/1', 'a', 1, 1);
    await eventually(() => test.store.appends > 0);
    test.store.mode = 'ok';
    await client.until('puback');
    await client.untilClosed();
  });

  it('does not run out while packets come, also those that sluice answers itself', async () => {
    const test = await start();
    const client = await raw(test, { version, keepalive: 1 });
    const began = performance.now();
    for (let sent = 0; performance.now() - began < 3_000; sent++) {
      client.send({ cmd: 'pubrel', messageId: 1 });
      await client.until('pubcomp', sent + 1);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(client.closed).toBe(false);
  });

  it('counts what arrived while the whole process stood still', async () => {
    const test = await start();
    const client = await raw(test, { version, keepalive: 1, will });
    client.send({ cmd: 'pingreq' });
    // As after SIGSTOP: the timer is overdue before the socket is read.
    const until = performance.now() + 2_000;
    while (performance.now() < until);
    await client.until('pingresp');
    // Longer than the second look takes, shorter than the keep alive.
    await new Promise((resolve) => setTimeout(resolve, 800));
    await client.ping();
    expect(client.closed).toBe(false);
    expect(test.store.payloads('r/wills')).toEqual([]);
  });
});
