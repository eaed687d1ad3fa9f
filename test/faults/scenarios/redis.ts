/** What Redis itself can do to us: refuse writes, lose power, be another one than it was. */
import { between, times } from '../draw.ts';
import type { Fault } from '../faults.ts';
import { scaled, single, type Scenario } from '../scenario.ts';
import { LOAD } from './kill.ts';
import { storeFailed } from './machine.ts';

const refusing: Scenario = {
  name: 'redis refuses',
  about:
    'maxmemory reached, read-only as a replica, too few replicas: no acknowledgement, and again when it takes writes',
  fullSeconds: 60,
  world: { store: 'redis', fleet: { ...LOAD, qos: [1, 2] } },
  steps: (random, scale) => {
    const kinds: ((forMs: number) => Fault)[] = [
      (forMs) => ({ do: 'redis full', forMs }),
      (forMs) => ({ do: 'redis read-only', by: 'replicaof', forMs }),
      (forMs) => ({ do: 'redis read-only', by: 'min-replicas', forMs }),
    ];
    return times(scaled(9, scale, 3), (index) =>
      // Some for longer than an append may take.
      single(kinds[index % 3]!(index >= 6 ? 12_000 : between(random, 500, 4_000)), random.int(800)),
    );
  },
  check: storeFailed,
};

function replaced(by: 'empty' | 'earlier'): Scenario {
  return {
    name: `redis ${by === 'empty' ? 'emptied' : 'rolled back'}`,
    about:
      by === 'empty'
        ? 'a failover to an empty replica: what only Redis had is lost, and said with its offsets'
        : 'a failover to a replica that was behind: what it did not have is lost, and said with its offsets',
    fullSeconds: 30,
    // What sluice itself still holds in memory it delivers: there must be more than that.
    world: {
      store: 'redis',
      settings: { 'buffer.tailMaxBytes': '1MB' },
      fleet: { ...LOAD, bytes: 1_000, qos: [1, 2] },
    },
    steps: () => [single({ do: 'redis replaced', by }, 1_000)],
    check: ({ complain, measure }, { verdict, events, offsetsReported, fleet }) => {
      measure('lostWithStore', verdict.lostWithStore);
      measure('offsetsReported', offsetsReported);
      measure('sessionsLost', fleet.sessionsLost);
      // Kafka was held, so there was something to lose: a run in which nothing was lost has shown nothing.
      if (verdict.lostWithStore === 0) complain('nothing was lost with the store: the fault did not take hold');
      if (events['log.replaced'] === undefined && events['offsets.missing'] === undefined) {
        complain('the loss was not said: neither log.replaced nor offsets.missing in the log');
      }
    },
  };
}

const powerLoss: Scenario = {
  name: 'power loss, redis',
  about: 'Redis is killed and what it had written and not synced is gone: every acknowledged message is there',
  needs: ['cc'],
  fullSeconds: 60,
  world: { store: 'redis', shim: 'redis', syncDelayMs: 5, fleet: { ...LOAD, qos: [1, 2] } },
  steps: (random, scale) =>
    times(scaled(20, scale, 3), () => single({ do: 'power loss', who: 'redis' }, random.int(700))),
};

export const redisScenarios: readonly Scenario[] = [refusing, replaced('empty'), replaced('earlier'), powerLoss];
