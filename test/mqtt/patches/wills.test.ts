import { describe, expect, it } from 'vitest';
import { openSessions } from '../../../src/mqtt/sessions.ts';
import { eventually } from '../../support/eventually.ts';
import { raw, start } from '../support/harness.ts';

const will = { topic: 'r/wills', payload: Buffer.from('dead'), qos: 1, retain: true } as const;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.each([4, 5] as const)('a will, MQTT version %i', (version) => {
  it('is committed and then published, with QoS and retain, when the device dies', async () => {
    const test = await start();
    const watcher = await raw(test, { clientId: 'watcher' });
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/wills', qos: 2 }] });
    await watcher.until('suback');
    const device = await raw(test, { version, clientId: 'device', will });
    test.store.mode = 'hang';
    device.socket.resetAndDestroy();
    await eventually(() => test.broker.pendingWills === 1);
    await watcher.ping();
    expect(watcher.of('publish')).toEqual([]);
    test.store.mode = 'ok';
    await watcher.until('publish');
    expect(watcher.of('publish')[0]).toMatchObject({ qos: 1, topic: 'r/wills' });
    expect(test.store.log).toMatchObject([{ clientId: 'device', origin: 1, qos: 1, retain: true, dup: false }]);
    const late = await raw(test, { clientId: 'late' });
    late.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/wills', qos: 0 }] });
    await late.until('publish');
    expect(late.of('publish')[0]).toMatchObject({ retain: true });
    expect(test.broker.counters.willsSent).toBe(1);
  });

  it('is not sent after DISCONNECT', async () => {
    const test = await start();
    const device = await raw(test, { version, clientId: 'device', will });
    device.send({ cmd: 'disconnect' });
    await device.untilClosed();
    const other = await raw(test, { clientId: 'other', will });
    other.destroy();
    await eventually(() => test.store.log.length === 1);
    expect(test.store.log[0]?.clientId).toBe('other');
  });

  it('waits for as long as the buffer does not take it', async () => {
    const test = await start({ appendTimeoutMs: 100 });
    test.store.mode = 'fail';
    for (const qos of [0, 1, 2] as const) {
      const device = await raw(test, { version, clientId: `device${qos}`, will: { ...will, qos } });
      device.destroy();
    }
    await eventually(() => test.store.appends > 0 && test.broker.pendingWills === 3);
    test.store.mode = 'full';
    await sleep(300);
    expect(test.broker.pendingWills).toBe(3);
    test.store.mode = 'ok';
    await eventually(() => test.store.log.length === 3);
    expect(test.store.log.map(({ qos }) => qos).sort()).toEqual([0, 1, 2]);
    await eventually(() => test.broker.pendingWills === 0);
  });

  it('is held when we close the client for an outage, and not sent when it comes back', async () => {
    const test = await start({ appendTimeoutMs: 100, willGraceMs: 600 });
    const device = await raw(test, { version, clientId: 'device', will });
    test.store.mode = 'hang';
    device.publish('r/1', 'a', 1, 1);
    await device.untilClosed();
    test.store.mode = 'ok';
    const again = await raw(test, { version, clientId: 'device' });
    await sleep(1_000);
    expect(test.store.payloads('r/wills')).toEqual([]);
    again.send({ cmd: 'disconnect' });
  });

  it('is held when we close the client for an outage, and sent when it does not come back', async () => {
    const test = await start({ appendTimeoutMs: 100, willGraceMs: 500 });
    const device = await raw(test, { version, clientId: 'device', will });
    test.store.mode = 'hang';
    device.publish('r/1', 'a', 1, 1);
    await device.untilClosed();
    test.store.mode = 'ok';
    const closed = performance.now();
    await eventually(() => test.store.payloads('r/wills').length === 1);
    expect(performance.now() - closed).toBeGreaterThan(300);
  });

  it('of the new connection survives the end of the old one that it takes over', async () => {
    const sessions = await openSessions({ store: 'memory' }, () => undefined);
    const test = await start({ sessions });
    await raw(test, { version, clientId: 'device', will });
    await raw(test, { version, clientId: 'device', will: { ...will, payload: Buffer.from('second') } });
    await eventually(() => test.store.payloads('r/wills').length === 1);
    await eventually(() => test.broker.counters.willsSent === 1);
    const kept = [];
    for await (const each of sessions.wills.all()) kept.push(each.payload.toString());
    expect(kept).toEqual(['second']);
  });

  it('to a topic of the broker itself is refused at CONNECT', async () => {
    const test = await start();
    const device = await raw(test, { version, will: { ...will, topic: '$SYS/forged' } });
    const [connack] = device.of('connack');
    expect(version === 5 ? connack?.reasonCode : connack?.returnCode).toBe(version === 5 ? 0x87 : 5);
    await device.untilClosed();
    expect(test.denied.map(({ action, topic }) => `${action} ${topic}`)).toEqual(['will $SYS/forged']);
    expect(test.store.log).toEqual([]);
  });
});

describe('a will of MQTT 5', () => {
  it('carries its properties, and waits for its delay', async () => {
    const test = await start();
    const watcher = await raw(test, { clientId: 'watcher', version: 5 });
    watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'r/wills', qos: 2 }] });
    await watcher.until('suback');
    const properties = {
      willDelayInterval: 1,
      contentType: 'text/plain',
      correlationData: Buffer.of(1, 0, 255),
      userProperties: { a: 'b' },
    };
    const session = { properties: { sessionExpiryInterval: 60 } };
    const device = await raw(test, { version: 5, clientId: 'device', will: { ...will, properties }, ...session });
    const died = performance.now();
    device.destroy();
    await watcher.until('publish');
    expect(performance.now() - died).toBeGreaterThan(900);
    expect(watcher.of('publish')[0]?.properties).toMatchObject({ contentType: 'text/plain' });
    expect(test.store.log[0]?.properties).toEqual({
      contentType: 'text/plain',
      correlationData: Buffer.of(1, 0, 255),
      userProperties: [['a', 'b']],
    });
  });

  it('is not sent when the client comes back within the delay', async () => {
    const test = await start();
    const options = {
      version: 5,
      clientId: 'device',
      clean: false,
      will: { ...will, properties: { willDelayInterval: 1 } },
      properties: { sessionExpiryInterval: 60 },
    } as const;
    const device = await raw(test, options);
    device.destroy();
    await eventually(() => test.broker.clients().total === 0);
    const again = await raw(test, { ...options, will: undefined });
    await sleep(1_300);
    expect(test.store.log).toEqual([]);
    again.send({ cmd: 'disconnect' });
  });

  it('is sent on DISCONNECT with reason code 4', async () => {
    const test = await start();
    const device = await raw(test, { version: 5, clientId: 'device', will });
    device.send({ cmd: 'disconnect', reasonCode: 4 });
    await eventually(() => test.store.payloads('r/wills').length === 1);
  });
});

describe('wills of a process that is gone', () => {
  /** What a process leaves behind that is killed: its sessions, and nobody who holds the connections. */
  async function leftBehind(...clientIds: string[]) {
    const sessions = await openSessions({ store: 'memory' }, () => undefined);
    for (const clientId of clientIds) {
      await sessions.wills.put({
        token: `token-${clientId}`,
        clientId,
        user: '',
        brokerId: 'the-dead-process',
        delaySeconds: 0,
        topic: 'r/wills',
        payload: Buffer.from(clientId),
        qos: 1,
        retain: false,
        properties: undefined,
      });
    }
    return sessions;
  }

  it('are sent once by the next one, unless the client comes back first', async () => {
    const sessions = await leftBehind('lost', 'back', 'changed');
    const test = await start({ sessions, willSweepMs: 400 });
    await raw(test, { clientId: 'back' });
    await raw(test, { clientId: 'changed', will: { ...will, payload: Buffer.from('new will') } });
    await eventually(() => test.store.payloads('r/wills').length > 0);
    await sleep(1_000);
    expect(test.store.payloads('r/wills')).toEqual(['lost']);
    const kept = [];
    for await (const each of sessions.wills.all()) kept.push(each.clientId);
    expect(kept).toEqual(['changed']);
  });

  it('wait for as long as the buffer does not take them', async () => {
    const test = await start({ sessions: await leftBehind('lost'), willSweepMs: 300, appendTimeoutMs: 100 });
    test.store.mode = 'fail';
    await eventually(() => test.broker.pendingWills === 1);
    await sleep(700);
    test.store.mode = 'ok';
    await eventually(() => test.store.log.length > 0);
    await sleep(700);
    expect(test.store.payloads('r/wills')).toEqual(['lost']);
  });

  it('include those of clients that we closed when we stopped', async () => {
    const sessions = await openSessions({ store: 'memory' }, () => undefined);
    const keep = { ...sessions, close: async () => undefined };
    const first = await start({ sessions: keep });
    const device = await raw(first, { clientId: 'device', will });
    await first.stop();
    await device.untilClosed();
    expect(first.store.log).toEqual([]);
    const again = await openSessions({ store: 'memory' }, () => undefined);
    const second = await start({ sessions: { ...again, wills: sessions.wills }, willSweepMs: 300 });
    await eventually(() => second.store.payloads('r/wills').length === 1);
  });
});
