/**
 * Idempotency keys: a message that comes again under its key is taken once. Like QoS 2 packet ids they are committed with the
 * message, so they hold through a crash at any point.
 *
 *     periods of 10 minutes     … 6   7   8   9 …
 *     groups of keys, reused    … 0   1   2   0 …      in period 7: keys go to the groups 0 and 1, group 2 is emptied
 *
 * A key is put into the groups of this period and the one before, and refused where either knows it: so it is known for at least one
 * whole period after it came, and it costs two small entries until its group is emptied. Clocks of several processes may differ by less
 * than a period.
 */
import { createHash } from 'node:crypto';
import type { CommitWaiter, GroupCommit } from '../buffer/commit.ts';
import type { Qos2Id } from '../buffer/store.ts';

export const KEY_PERIOD_MS = 10 * 60 * 1000;
const GROUPS = 3;
/** Keys of one shard in one period: what is kept, and emptied at once, stays small. */
const KEYS_MAX = 100_000;

interface Period {
  number: number;
  keys: number;
  emptied: boolean;
}

export class OnceKeys {
  readonly #now: () => number;
  readonly #keysMax: number;
  readonly #periods = new Map<number, Period>();

  constructor(now = Date.now, keysMax = KEYS_MAX) {
    this.#now = now;
    this.#keysMax = keysMax;
  }

  /** What is to be remembered with the message; undefined: too many keys came in this period. */
  idsOf(commit: GroupCommit, shard: number, owner: string, key: string): readonly Qos2Id[] | undefined {
    const number = Math.floor(this.#now() / KEY_PERIOD_MS);
    const period = this.#period(shard, number);
    if (period.keys >= this.#keysMax) return undefined;
    period.keys++;
    if (!period.emptied) this.#empty(commit, period);
    // Neither owner nor key can hold U+0000. 132 bits: two keys that are not the same are not taken for the same.
    const packetId = createHash('sha256').update(`${owner}\0${key}`).digest('base64url').slice(0, 22);
    return [
      { clientId: groupName(number), packetId },
      { clientId: groupName(number - 1), packetId },
    ];
  }

  #period(shard: number, number: number): Period {
    let period = this.#periods.get(shard);
    if (period === undefined || period.number !== number) {
      period = { number, keys: 0, emptied: false };
      this.#periods.set(shard, period);
    }
    return period;
  }

  /** In the commit of the first key; tried again with the next one where that was refused. */
  #empty(commit: GroupCommit, period: Period): void {
    period.emptied = true;
    const waiter: CommitWaiter = {
      committed() {},
      refused: () => (period.emptied = false),
      dropped() {},
    };
    commit.clearQos2(groupName(period.number + 1), waiter);
  }
}

/** No client id begins with U+0000 [MQTT-1.5.4-2]. */
function groupName(period: number): string {
  return `\0keys${((period % GROUPS) + GROUPS) % GROUPS}`;
}
