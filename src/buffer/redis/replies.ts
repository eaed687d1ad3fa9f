/** What the scripts answer, as the port speaks of it. */
import type { LogIdentity } from '../epochs.ts';
import type { LogEpoch, Outcomes, ParkingState, ShardStats, StoredFrame } from '../store.ts';

/** `id:from,id:from` */
export function epochsOf(text: string): LogEpoch[] {
  return text.split(',').map((epoch) => {
    const colon = epoch.indexOf(':');
    return { logId: epoch.slice(0, colon), from: Number(epoch.slice(colon + 1)) };
  });
}

export function identityOf(origin: string, epochs: string, head: number): LogIdentity {
  return { origin, epochs: epochsOf(epochs), head };
}

/** base, frame, base, frame, … */
export function framesOf(flat: readonly Buffer[]): StoredFrame[] {
  const frames: StoredFrame[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) frames.push({ base: Number(flat[i]!.toString()), bytes: flat[i + 1]! });
  return frames;
}

/** name, value, name, value, … */
export function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i]!, flat[i + 1]!]);
  return pairs;
}

/** topic, `<entries> <messages> <bytes>`, … */
export function parkingStatesOf(flat: readonly string[]): ParkingState[] {
  return pairsOf(flat).map(([topic, state]) => {
    const [entries, messages, bytes] = state.split(' ').map(Number);
    return { topic, entries: entries ?? 0, messages: messages ?? 0, bytes: bytes ?? 0 };
  });
}

/** Prefix of the meta fields that count discarded messages by rule. */
export const DISCARDED_FIELD = 'd:';
/** Prefix of the meta fields that are cursors. */
const CURSOR_FIELD = 'c:';

export function statsOf(
  shard: number,
  [fields, topics, setAside, lease]: readonly [string[], string[], number, string],
): ShardStats {
  const meta = new Map(pairsOf(fields));
  const number = (field: string): number => Number(meta.get(field) ?? 0);
  const parked = parkingStatesOf(topics);
  const outcomes: Outcomes = {
    delivered: number('delivered'),
    deadLettered: number('deadLettered'),
    expired: number('expired'),
    discarded: {},
  };
  const cursors: Record<string, string> = {};
  for (const [field, value] of meta) {
    if (field.startsWith(DISCARDED_FIELD)) outcomes.discarded[field.slice(DISCARDED_FIELD.length)] = Number(value);
    else if (field.startsWith(CURSOR_FIELD)) cursors[field.slice(CURSOR_FIELD.length)] = value;
  }
  return {
    shard,
    head: number('head'),
    released: number('released'),
    accepted: number('accepted'),
    outcomes,
    logMessages: number('head') - number('released'),
    parkedMessages: parked.reduce((sum, { messages }) => sum + messages, 0),
    bytes: number('bytesIn') - number('bytesOut'),
    parked,
    setAside,
    cursors,
    owner: lease === '' ? undefined : lease.slice(lease.indexOf(' ') + 1),
  };
}
