/** Draws faults from a seed. Everything that is left to chance is decided here, before anything starts. */
import type { Direction } from '../support/proxy.ts';
import type { Random } from '../support/random.ts';
import type { Fault, Link, Service, Step } from './faults.ts';
import type { StoreName } from './world.ts';

/** A lease of sluice, and Kafka's session: what outlasts them is another kind of fault than what does not. */
export const LEASE_MS = 10_000;

const DIRECTIONS: readonly Direction[] = ['up', 'down', 'both'];

export function between(random: Random, least: number, most: number): number {
  return least + random.int(most - least + 1);
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

export function kill(random: Random, who: Service): Fault {
  return { do: 'kill', who, downMs: random.int(4) === 0 ? 0 : between(random, 50, 1_500) };
}

/** At once, and back in any order: one may have to start without the others. */
export function killAll(random: Random, store: StoreName): Step {
  const all: Service[] = store === 'redis' ? ['sluice', 'redis', 'kafka'] : ['sluice', 'kafka'];
  return { gapMs: random.int(1_000), faults: all.map((who) => kill(random, who)) };
}

export function freeze(random: Random, who: Service, most = 3_000): Fault {
  return { do: 'freeze', who, forMs: between(random, 100, most) };
}

export function disturb(random: Random, link: Link): Fault {
  const direction = random.pick(DIRECTIONS);
  switch (random.int(5)) {
    case 0:
      return { do: 'hang', link, direction, forMs: between(random, 200, 4_000) };
    case 1:
      return { do: 'delay', link, byMs: between(random, 5, 400), forMs: between(random, 500, 3_000) };
    case 2:
      return { do: 'cut', link };
    case 3:
      return { do: 'refuse', link, forMs: between(random, 100, 3_000) };
    default:
      // Answers are short: a cut among them may fall within one only if it comes soon.
      return {
        do: 'cut mid-frame',
        link,
        direction: random.pick(['up', 'down'] as const),
        afterBytes: between(random, 1, 3_000),
      };
  }
}

/** Any fault of a plain world: of its processes and of the links between them. */
function any(random: Random, who: Service): Fault {
  const links: Record<Service, Link> = { sluice: 'devices', redis: 'redis', kafka: 'kafka' };
  switch (random.int(5)) {
    case 0:
    case 1:
      return kill(random, who);
    case 2:
      return freeze(random, who);
    default:
      return who === 'redis' && random.int(4) === 0 ? redisRefuses(random) : disturb(random, links[who]);
  }
}

export function redisRefuses(random: Random): Fault {
  const forMs = between(random, 200, 4_000);
  switch (random.int(3)) {
    case 0:
      return { do: 'redis full', forMs };
    case 1:
      return { do: 'redis read-only', by: 'replicaof', forMs };
    default:
      return { do: 'redis read-only', by: 'min-replicas', forMs };
  }
}

/** One fault, or several of different services at once. */
export function anyStep(random: Random, store: StoreName): Step {
  const services: Service[] = store === 'redis' ? ['sluice', 'redis', 'kafka'] : ['sluice', 'kafka'];
  const together = random.int(3) === 0 ? 2 + random.int(services.length - 1) : 1;
  const chosen: Service[] = [];
  while (chosen.length < Math.min(together, services.length)) {
    const who = random.pick(services);
    if (!chosen.includes(who)) chosen.push(who);
  }
  return { gapMs: random.int(1_500), faults: chosen.map((who) => any(random, who)) };
}
