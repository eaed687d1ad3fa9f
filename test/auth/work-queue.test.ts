import { describe, expect, it } from 'vitest';
import { WorkQueue } from '../../src/auth/work-queue.ts';

/** Work that ends when the test says so. */
function gate(): { work: () => Promise<string>; open: (value: string) => void; fail: (error: Error) => void } {
  let open: (value: string) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const promise = new Promise<string>((resolve, reject) => ((open = resolve), (fail = reject)));
  return { work: () => promise, open: (value) => open(value), fail: (error) => fail(error) };
}

const queue = (more: Partial<ConstructorParameters<typeof WorkQueue>[0]> = {}): WorkQueue =>
  new WorkQueue({ concurrency: 1, waitingMax: 3, waitingMaxPerKey: 2, waitMaxMs: 60_000, ...more });

describe('a work queue', () => {
  it('does so much at a time, in order', async () => {
    const work = queue({ concurrency: 2, waitingMaxPerKey: 3 });
    const gates = [gate(), gate(), gate(), gate()];
    const order: number[] = [];
    const results = gates.map((each, index) =>
      work.run('a', () => {
        order.push(index);
        return each.work();
      }),
    );
    await Promise.resolve();
    expect([order, work.running, work.waiting]).toEqual([[0, 1], 2, 2]);
    gates[1]?.open('one');
    await results[1];
    await new Promise(setImmediate);
    expect([order, work.running, work.waiting]).toEqual([[0, 1, 2], 2, 1]);
    for (const each of gates) each.open('done');
    expect(await Promise.all(results)).toEqual(['done', 'one', 'done', 'done']);
    expect([order, work.running, work.waiting]).toEqual([[0, 1, 2, 3], 0, 0]);
  });

  it('turns away what has no room, in all and for one key', async () => {
    const work = queue();
    const first = gate();
    const running = work.run('a', first.work);
    const waiting = [work.run('a', first.work), work.run('a', first.work)];
    expect(await work.run('a', first.work)).toBeUndefined();
    waiting.push(work.run('b', first.work));
    expect(await work.run('c', first.work)).toBeUndefined();
    first.open('x');
    expect(await Promise.all([running, ...waiting])).toEqual(['x', 'x', 'x', 'x']);
    expect(await work.run('a', first.work)).toBe('x');
  });

  it('goes on after work that fails', async () => {
    const work = queue();
    const first = gate();
    const failing = work.run('a', first.work);
    const next = work.run('a', async () => 'next');
    first.fail(new Error('no'));
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe('next');
    expect(work.running).toBe(0);
  });

  it('gives up what has waited too long, without starting it', async () => {
    const work = queue({ waitMaxMs: -1 });
    const first = gate();
    const running = work.run('a', first.work);
    let started = false;
    const late = work.run('a', async () => (started = true));
    first.open('x');
    await running;
    expect(await late).toBeUndefined();
    expect(started).toBe(false);
    expect(work.running).toBe(0);
  });
});
