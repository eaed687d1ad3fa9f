import { describe, expect, it } from 'vitest';
import type { GroupCommit } from '../../src/buffer/commit.ts';
import type { Qos2Id } from '../../src/buffer/store.ts';
import { KEY_PERIOD_MS, OnceKeys } from '../../src/ingest/once-keys.ts';

/** The store's part: sets of ids by group, emptied as a commit would. */
class Groups {
  readonly sets = new Map<string, Set<number | string>>();
  now = 1_000 * KEY_PERIOD_MS;
  emptied = 0;
  fail = false;
  readonly keys = new OnceKeys(() => this.now, 1_000);
  readonly #commit = {
    clearQos2: (group: string, waiter: { committed(): void; refused(): void }) => {
      if (this.fail) return waiter.refused();
      this.sets.delete(group);
      this.emptied++;
      waiter.committed();
    },
  } as unknown as GroupCommit;

  /** true: taken; false: a repeat; undefined: too many. */
  take(key: string, owner = 'u\0c'): boolean | undefined {
    const ids: readonly Qos2Id[] | undefined = this.keys.idsOf(this.#commit, 0, owner, key);
    if (ids === undefined) return undefined;
    if (ids.some(({ clientId, packetId }) => this.sets.get(clientId)?.has(packetId) === true)) return false;
    for (const { clientId, packetId } of ids)
      this.sets.set(clientId, (this.sets.get(clientId) ?? new Set()).add(packetId));
    return true;
  }
}

describe('a key', () => {
  it('is known for a whole period after it came, whenever in a period that was', () => {
    for (const into of [0, 1, KEY_PERIOD_MS / 2, KEY_PERIOD_MS - 1]) {
      const groups = new Groups();
      groups.now += into;
      expect(groups.take('a')).toBe(true);
      for (let at = 0; at <= 10; at++) {
        expect(groups.take('a'), `${into} ms into a period, ${at} tenths later`).toBe(false);
        // Others come and go meanwhile.
        expect(groups.take(`b${at}`)).toBe(true);
        groups.now += KEY_PERIOD_MS / 10;
      }
    }
  });

  it('is of its owner alone', () => {
    const groups = new Groups();
    expect(groups.take('a', 'u\0c')).toBe(true);
    expect(groups.take('a', 'u\0d')).toBe(true);
    expect(groups.take('a', 'v\0c')).toBe(true);
    expect(groups.take('a', 'u\0c')).toBe(false);
  });

  it('is forgotten, so that what is kept stays bounded', () => {
    const groups = new Groups();
    let most = 0;
    for (let period = 0; period < 20; period++) {
      for (let n = 0; n < 100; n++) expect(groups.take(`${period} ${n}`)).toBe(true);
      most = Math.max(
        most,
        [...groups.sets.values()].reduce((sum, { size }) => sum + size, 0),
      );
      groups.now += KEY_PERIOD_MS;
    }
    expect(groups.emptied).toBe(20);
    expect(most).toBeLessThanOrEqual(400);
    expect(groups.take('0 0')).toBe(true);
  });

  it('too many in one period are refused; what was refused to be emptied is emptied with the next key', () => {
    const groups = new Groups();
    groups.fail = true;
    expect(groups.take('first')).toBe(true);
    expect(groups.emptied).toBe(0);
    groups.fail = false;
    for (let n = 1; n < 1_000; n++) expect(groups.take(`k${n}`)).toBe(true);
    expect(groups.emptied).toBe(1);
    expect(groups.take('one more')).toBeUndefined();
    groups.now += KEY_PERIOD_MS;
    expect(groups.take('one more')).toBe(true);
  });
});
