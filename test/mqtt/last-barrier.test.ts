import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { afterTest, raw } from './support/harness.ts';
import type { RawClient } from './support/raw-client.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

async function broken(plant: string): Promise<{ port: number; child: ChildProcess; faults: () => Promise<string[]> }> {
  const child = fork(file('./strays.ts'), {
    execArgv: ['--import', file('../../scripts/typescript/register.mjs')],
    env: { ...process.env, PLANT: plant },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  afterTest(() => void child.kill('SIGKILL'));
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const faults = async (): Promise<string[]> => {
    child.send('faults');
    const [answer] = (await once(child, 'message')) as [{ faults: string[] }];
    return answer.faults;
  };
  return { port, child, faults };
}

/** What nobody is to have goes past the places where something is planted. */
async function listen(client: RawClient): Promise<void> {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'planted', qos: 1 }] });
  await client.until('suback');
}

// A process each: its start takes its time on a busy machine.
describe('an exception that is planted in', { timeout: 120_000 }, () => {
  it.each(['broker', 'emitter'])('the %s keeps no publisher from its acknowledgement', async (plant) => {
    const test = await broken(plant);
    const client = await raw(test);
    await listen(client);
    client.publish('planted', 'x', 1, 1);
    await client.until('puback');
    await client.ping();
    expect((await test.faults()).join()).toContain('planted');
    await raw(test, { clientId: 'other' }).then((other) => other.ping());
    expect(test.child.exitCode).toBeNull();
  });

  it('the emitter, and strikes where nobody catches it, costs one client its connection', async () => {
    const test = await broken('late');
    const other = await raw(test, { clientId: 'other' });
    await listen(other);
    for (const payload of ['first', 'after it is back']) {
      const client = await raw(test, { version: 5, clientId: 'struck' });
      client.publish('planted', payload, 1, 1);
      await client.until('puback');
      await client.untilClosed(30_000);
      expect(client.of('disconnect')[0]?.reasonCode).toBe(0x89);
    }
    expect((await test.faults()).filter((fault) => fault.includes('planted'))).toHaveLength(2);
    await other.ping();
    expect(test.child.exitCode).toBeNull();
  });

  it('something else ends the process as ever', async () => {
    const { child } = await broken('foreign');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).not.toBe(0);
  });
});
