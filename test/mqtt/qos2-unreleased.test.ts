import { expect, it } from 'vitest';
import type { Packet } from 'mqtt-packet';
import { eventually } from '../support/eventually.ts';
import { raw, start } from './support/harness.ts';

const MAX = 10_000;

function publishes(from: number, count: number): Packet[] {
  return Array.from({ length: count }, (_, index) => ({
    cmd: 'publish',
    topic: 'r/1',
    payload: String(from + index),
    qos: 2,
    messageId: from + index,
    dup: false,
    retain: false,
  }));
}

it('a client that never releases its QoS 2 publishes is closed at a bound, and goes on over a new connection', async () => {
  const test = await start();
  const client = await raw(test, { clean: false });
  for (let from = 1; from <= MAX; from += 1_000) {
    client.send(...publishes(from, 1_000));
    await eventually(() => client.of('pubrec').length === from + 999, 60_000);
  }
  // One that it has brought before is no new one.
  client.publish('r/1', '1', 2, 1, true);
  await client.until('pubrec', MAX + 1);
  expect(test.store.qos2.size).toBe(MAX);

  client.publish('r/1', 'too much', 2, MAX + 1);
  await client.untilClosed();
  expect(client.of('pubrec')).toHaveLength(MAX + 1);
  expect(test.refused.map(({ error }) => error.code)).toEqual(['TOO_MANY_UNRELEASED']);
  expect(test.store.payloads()).toHaveLength(MAX);

  // As the protocol has it: PUBREL for what has its PUBREC, and the other one again.
  const again = await raw(test, { clean: false });
  again.send({ cmd: 'pubrel', messageId: 1 }, { cmd: 'pubrel', messageId: 2 });
  again.publish('r/1', 'too much', 2, MAX + 1, true);
  await again.until('pubcomp', 2);
  await again.until('pubrec');
  expect(test.store.payloads().at(-1)).toBe('too much');
  expect(test.store.qos2.size).toBe(MAX - 1);
});
