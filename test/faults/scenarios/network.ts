/** The network between devices, sluice, Redis and Kafka; and mixtures of everything that a plain world can suffer. */
import { anyStep, disturb, times } from '../draw.ts';
import type { Link } from '../faults.ts';
import { scaled, single, type Scenario } from '../scenario.ts';
import type { StoreName } from '../world.ts';
import { LOAD } from './kill.ts';

function network(store: StoreName): Scenario {
  const links: readonly Link[] = store === 'redis' ? ['devices', 'redis', 'kafka'] : ['devices', 'kafka'];
  return {
    name: `network, ${store}`,
    about: 'hangs, delays, resets, cuts in the middle of a frame and refused connections on every link',
    fullSeconds: 120,
    world: { store, fleet: { ...LOAD, qos: [1, 2] } },
    steps: (random, scale) =>
      times(scaled(24, scale, 4), (index) =>
        single(disturb(random, links[index % links.length] ?? 'devices'), random.int(800)),
      ),
  };
}

/** Redis is shared by two sluices: what one holds the other takes over, and the first wakes up behind it. */
const twoSluices: Scenario = {
  name: 'two sluices, redis',
  about: 'one of two processes is killed, or stopped for longer than its lease and wakes up',
  fullSeconds: 100,
  world: { store: 'redis', sluices: 2, fleet: { ...LOAD, qos: [1, 2] } },
  steps: (random, scale) =>
    times(scaled(8, scale), (index) => {
      const node = index % 2;
      // The lease is 10 s.
      return index % 2 === 0
        ? single({ do: 'freeze', who: 'sluice', node, forMs: 12_000 + random.int(2_000) }, random.int(800))
        : single({ do: 'kill', who: 'sluice', node, downMs: random.int(12_000) }, random.int(800));
    }),
};

/** `round` makes another name, and with it another stream of chance. */
export function mixScenario(store: StoreName, round: number): Scenario {
  return {
    name: `mix ${round}, ${store}`,
    about: 'anything, singly and together',
    hurried: true,
    fullSeconds: 150,
    world: { store, fleet: { ...LOAD, qos: [1, 2] } },
    steps: (random, scale) => times(scaled(30, scale, 4), () => anyStep(random, store)),
  };
}

export const networkScenarios: readonly Scenario[] = [network('level'), network('redis'), twoSluices];
