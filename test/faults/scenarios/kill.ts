/** kill -9 of each process, and of all of them at once, under load: 20 of each, 10 of all, QoS 1 and QoS 2, on each store. */
import type { Service } from '../faults.ts';
import { kill, killAll, times } from '../draw.ts';
import { scaled, single, type Scenario } from '../scenario.ts';
import type { StoreName, WorldOptions } from '../world.ts';

export const LOAD = { devices: 40, perSecond: 2_000, window: 20 } as const;

function worldOf(store: StoreName, qos: 1 | 2): WorldOptions {
  return { store, fleet: { ...LOAD, qos } };
}

function killing(store: StoreName, qos: 1 | 2, who: Service): Scenario {
  return {
    name: `kill ${who}, ${store}, QoS ${qos}`,
    about: `20 times kill -9 of ${who} under ${LOAD.perSecond} msg/s`,
    fullSeconds: who === 'kafka' ? 150 : 75,
    promised: true,
    world: worldOf(store, qos),
    steps: (random, scale) => times(scaled(20, scale, 2), () => single(kill(random, who), random.int(1_000))),
    check: ({ complain }, { events }) => {
      if (who === 'kafka' && events['kafka.paused'] === undefined) complain('sluice did not notice: nothing was shown');
    },
  };
}

function killingAll(store: StoreName, qos: 1 | 2): Scenario {
  return {
    name: `kill all, ${store}, QoS ${qos}`,
    about: `10 times kill -9 of everything at once under ${LOAD.perSecond} msg/s`,
    fullSeconds: 100,
    promised: true,
    world: worldOf(store, qos),
    steps: (random, scale) => times(scaled(10, scale, 1), () => killAll(random, store)),
  };
}

const QOS = [1, 2] as const;

export const killScenarios: readonly Scenario[] = [
  ...QOS.flatMap((qos) => [
    killing('level', qos, 'sluice'),
    killing('level', qos, 'kafka'),
    killingAll('level', qos),
    killing('redis', qos, 'sluice'),
    killing('redis', qos, 'redis'),
    killing('redis', qos, 'kafka'),
    killingAll('redis', qos),
  ]),
];
