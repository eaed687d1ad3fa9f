import type { Settlement } from '../store.ts';
import type { ShardKeys } from './keys.ts';
import { DISCARDED_FIELD } from './replies.ts';

const ASIDE_MAX_FRAMES = 1_000;
const ASIDE_MAX_BYTES = 64 * 1024 * 1024;

type Argument = string | number | Buffer;

/** Keys and arguments of the settle script, from its fifth argument on; see the list on top of it. */
export function settlementArguments(keys: ShardKeys, change: Settlement): { keys: string[]; args: Argument[] } {
  const { outcomes } = change;
  const counters = Object.entries({
    delivered: outcomes?.delivered ?? 0,
    deadLettered: outcomes?.deadLettered ?? 0,
    expired: outcomes?.expired ?? 0,
  });
  for (const [rule, count] of Object.entries(outcomes?.discarded ?? {})) counters.push([DISCARDED_FIELD + rule, count]);
  const counted = counters.filter(([, count]) => count !== 0);
  const marks = Object.entries(change.marks ?? {});
  const unpark = change.unpark ?? [];
  const park = change.park ?? [];
  const setAside = change.setAside ?? [];
  return {
    keys: [
      keys.meta,
      keys.log,
      keys.parked,
      keys.marks,
      keys.aside,
      ...unpark.map(({ topic }) => keys.park(topic)),
      ...park.map(({ topic }) => keys.park(topic)),
    ],
    args: [
      change.released ?? 0,
      change.trimmed ?? 0,
      change.freedBytes ?? 0,
      counted.length,
      marks.length,
      unpark.length,
      park.length,
      setAside.length,
      ASIDE_MAX_FRAMES,
      ASIDE_MAX_BYTES,
      ...counted.flat(),
      ...marks.flat(),
      ...unpark.flatMap(({ topic, upTo, messages, bytes }) => [topic, upTo, messages, bytes]),
      ...park.flatMap(({ topic, messages, bytes }) => [topic, messages, bytes]),
      ...setAside.flatMap(({ base, bytes }) => [base, bytes]),
    ],
  };
}
