import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { FakeSink, type WrittenRecord } from '../support/fake-sink.ts';
import { expectBalanced, Rig } from './support/rig.ts';

const values = (records: readonly WrittenRecord[]): string[] => records.map(({ value }) => String(value));
const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, at) => String(from + at));

describe('Settler', () => {
  it.each([
    ['was not applied', 'beforeSettle'],
    ['was applied, and only the answer was lost', 'afterSettle'],
  ] as const)(
    'repeats a settlement that %s until the store answers; the ledger counts it once',
    async (_text, hook) => {
      const sink = new FakeSink();
      const rig = await Rig.started(sink);
      let failures = 0;
      rig.store.hooks[hook] = () => {
        if (failures++ < 6) throw new SluiceError('STORE_TIMEOUT', 'no answer');
      };
      for (let at = 0; at < 20; at++) {
        await rig.publish('c', 't', at * 5, 5);
        await rig.clock.advance(20);
      }
      await rig.clock.until(() => rig.settled);
      await rig.clock.until(() => rig.events('storeFault').length === 2);
      expect((await rig.stats()).outcomes.delivered).toBe(100);
      expect(values(sink.records('t'))).toEqual(numbers(0, 100));
      expect(rig.events('storeFault').map(([, error]) => (error as SluiceError | undefined)?.code)).toEqual([
        'STORE_TIMEOUT',
        undefined,
      ]);
      expectBalanced(rig.logs);
    },
  );

  it('has one settlement in flight, and puts what moves meanwhile into the next', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    let inFlight = 0;
    let most = 0;
    rig.store.hooks.beforeSettle = async () => {
      most = Math.max(most, ++inFlight);
      await rig.clock.sleep(500);
      inFlight--;
    };
    for (let at = 0; at < 50; at++) {
      await rig.publish('c', 't', at, 1);
      await rig.clock.advance(20);
    }
    await rig.clock.until(() => rig.settled);
    expect(most).toBe(1);
    expect(rig.forwarder.counters.settlements).toBeLessThanOrEqual(4);
    expectBalanced(rig.logs);
  });

  it('stops everything of the shard when it is fenced, and takes the lease anew', async () => {
    const sink = new FakeSink();
    const rig = await Rig.started(sink);
    await rig.publish('c', 't', 0, 5);
    await rig.clock.until(() => rig.settled);
    // Another process has had the shard in between.
    const { log } = rig.logs.shards.get(0)!;
    log.leaseUntil = -Infinity;
    log.acquire('other', rig.clock.now(), 0);
    await rig.publish('c', 't', 5, 5);
    await rig.clock.until(() => rig.settled);
    expect(rig.events('leaseLost')).toHaveLength(1);
    expect(rig.events('leaseAcquired')).toHaveLength(2);
    expect(values(sink.records('t')).filter((value, at, all) => all.indexOf(value) === at)).toEqual(numbers(0, 10));
    expectBalanced(rig.logs);
  });
});
