/**
 * What every backend of the buffer does, sentence by sentence of src/buffer/store.ts. Called by test/buffer/<backend>.test.ts
 * with a harness that makes stores on one set of data: a second store is a restart, or another process.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isSluiceError, type ErrorCode } from '../../src/errors.ts';
import type {
  AppendRequest,
  BufferStore,
  Lease,
  Settlement,
  ShardState,
  StoreEvents,
  StoreOpening,
} from '../../src/buffer/store.ts';

export interface StoreHarness {
  /** A store on this harness's data, not open yet. The harness closes what is left open. */
  makeStore(options?: { shards?: number; maxBytes?: number }): BufferStore;
  /** Ends everything that is open as a crash would, and makes the data ready to be opened again. */
  crash(): Promise<void>;
  /** Keeps a copy of the data; the function puts it back, in place of what is there then. Nothing is open at either time. */
  copy(): Promise<() => Promise<void>>;
  /** Removes all data under open stores, without telling them (shared stores only). */
  empty?(): Promise<void>;
  /** Puts the copy back under open stores; they lose their connections (shared stores only). */
  copyLive?(): Promise<() => Promise<void>>;
  dispose(): Promise<void>;
}

const quiet: StoreEvents = { appended: () => {}, availability: () => {} };

/** One process: a store, what it was told when it opened, and the next sequence of each shard. */
export class TestProcess {
  readonly store: BufferStore;
  opening!: StoreOpening;
  readonly states: ShardState[] = [];
  readonly heads: number[] = [];
  #sequence = 0;

  constructor(store: BufferStore) {
    this.store = store;
  }

  async open(events: StoreEvents = quiet): Promise<this> {
    this.opening = await this.store.open(events);
    for (const state of this.opening.shards) {
      this.states[state.shard] = state;
      this.heads[state.shard] = state.head;
    }
    return this;
  }

  logId(shard = 0): string {
    return this.states[shard]!.epochs.at(-1)!.logId;
  }

  request(change: Partial<AppendRequest> & { frames?: string; shard?: number } = {}): AppendRequest {
    const { frames, shard = 0, ...rest } = change;
    return {
      shard,
      logId: this.logId(shard),
      sequence: ++this.#sequence,
      frame: frames === undefined ? undefined : Buffer.from(frames),
      count: frames === undefined ? 0 : 1,
      qos2Add: [],
      qos2Remove: [],
      qos2Clear: [],
      ...rest,
    };
  }

  async append(text: string, count = 1, shard = 0): Promise<number> {
    const outcome = await this.store.append(this.request({ frames: text, count, shard }));
    if (outcome.kind !== 'committed') throw new Error(`not committed but ${outcome.kind}`);
    this.heads[shard] = outcome.base + count - 1;
    return outcome.base;
  }

  async appendAll(...texts: string[]): Promise<void> {
    for (const text of texts) await this.append(text);
  }

  async reopen(shard = 0, knownHead = this.heads[shard] ?? 0): Promise<ShardState> {
    const state = await this.store.reopen(shard, knownHead);
    this.states[shard] = state;
    this.heads[shard] = Math.max(this.heads[shard] ?? 0, state.head);
    return state;
  }

  async texts(from = 1, shard = 0, maxBytes = 1e6): Promise<[number, string][]> {
    const frames = await this.store.read(shard, from, maxBytes);
    return frames.map(({ base, bytes }) => [base, bytes.toString()]);
  }

  async lease(shard = 0, ttlMs = 60_000): Promise<Lease> {
    const lease = await this.store.acquire(shard, ttlMs);
    if (lease === undefined) throw new Error(`shard ${shard} is held by someone else`);
    return lease;
  }
}

export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'no error'> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    if (isSluiceError(error)) return error.code;
    throw error;
  }
}

const committed = (base: number): unknown => expect.objectContaining({ kind: 'committed', base }) as unknown;

/** `shared`: several processes may use the store at once; the embedded one has nothing to show there. */
export function storeConformance(
  name: string,
  makeHarness: () => Promise<StoreHarness>,
  { shared }: { shared: boolean } = { shared: true },
): void {
  describe(`${name} as a buffer store`, () => {
    let harness: StoreHarness;

    beforeEach(async () => {
      harness = await makeHarness();
    });
    afterEach(async () => {
      await harness.dispose();
    });

    const start = (options?: { shards?: number; maxBytes?: number }): Promise<TestProcess> =>
      new TestProcess(harness.makeStore(options)).open();

    const restart = async (options?: { shards?: number; maxBytes?: number }): Promise<TestProcess> => {
      await harness.crash();
      return start(options);
    };

    describe('opening', () => {
      it('makes empty logs with a log id each, different from one another', async () => {
        const process = await start({ shards: 3 });
        expect(process.opening.shards.map(({ shard, head, missing }) => ({ shard, head, missing }))).toEqual([
          { shard: 0, head: 0, missing: undefined },
          { shard: 1, head: 0, missing: undefined },
          { shard: 2, head: 0, missing: undefined },
        ]);
        const ids = [0, 1, 2].map((shard) => process.logId(shard));
        expect(new Set(ids).size).toBe(3);
        for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{11}$/);
        for (const { epochs } of process.opening.shards) expect(epochs.at(-1)!.from).toBe(1);
      });

      it('says how durable it is', async () => {
        const { durability } = (await start()).opening;
        expect(durability.summary).not.toBe('');
        expect(Array.isArray(durability.weak)).toBe(true);
      });

      it('refuses another number of shards than the data was made with', async () => {
        const process = await start({ shards: 2 });
        await process.append('a');
        await harness.crash();
        expect(await codeOf(harness.makeStore({ shards: 3 }).open(quiet))).toBe('SHARD_COUNT_MISMATCH');
        const again = await start({ shards: 2 });
        expect(await again.texts()).toEqual([[1, 'a']]);
      });

      it('may be closed twice, and answers nothing afterwards', async () => {
        const process = await start();
        await process.store.close();
        await process.store.close();
        expect(await codeOf(process.store.read(0, 1, 1000))).toBe('STORE_UNAVAILABLE');
        expect(await codeOf(process.store.append(process.request({ frames: 'a' })))).toMatch(/STORE_UNAVAILABLE|STALE/);
      });
    });

    describe('appending', () => {
      it('gives offsets from 1, without gaps, one per message', async () => {
        const process = await start();
        expect(await process.append('a')).toBe(1);
        expect(await process.append('bcd', 3)).toBe(2);
        expect(await process.append('e')).toBe(5);
        expect((await process.store.stats(0)).head).toBe(5);
      });

      it('counts each shard for itself', async () => {
        const process = await start({ shards: 2 });
        expect(await process.append('a', 5, 0)).toBe(1);
        expect(await process.append('b', 2, 1)).toBe(1);
        expect(await process.append('c', 1, 0)).toBe(6);
        expect(await process.texts(1, 1)).toEqual([[1, 'b']]);
      });

      it('commits several shards at once', async () => {
        const process = await start({ shards: 4 });
        const bases = await Promise.all([0, 1, 2, 3].map((shard) => process.append(`of ${shard}`, shard + 1, shard)));
        expect(bases).toEqual([1, 1, 1, 1]);
        for (const shard of [0, 1, 2, 3]) expect(await process.texts(1, shard)).toEqual([[1, `of ${shard}`]]);
      });

      it('reports what the shard holds', async () => {
        const process = await start();
        const bytes = async (text: string): Promise<number> => {
          const outcome = await process.store.append(process.request({ frames: text }));
          return outcome.kind === 'committed' ? outcome.bytes : -1;
        };
        expect(await bytes('12345')).toBe(5);
        expect(await bytes('123')).toBe(8);
      });

      it('keeps any bytes, in large and small frames', async () => {
        const process = await start({ maxBytes: 64 * 1024 * 1024 });
        const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
        const large = Buffer.alloc(3 * 1024 * 1024, all);
        await process.store.append(process.request({ frame: all, count: 1 }));
        await process.store.append(process.request({ frame: large, count: 7 }));
        const frames = await process.store.read(0, 1, 10 * 1024 * 1024);
        expect(frames.map(({ base }) => base)).toEqual([1, 2]);
        expect(frames[0]!.bytes.equals(all)).toBe(true);
        expect(frames[1]!.bytes.equals(large)).toBe(true);
      });

      it('refuses a repeated and a lower sequence', async () => {
        const process = await start();
        const request = process.request({ frames: 'a', sequence: 10 });
        expect(await process.store.append(request)).toEqual(committed(1));
        expect(await codeOf(process.store.append(request))).toBe('APPENDER_STALE');
        expect(await codeOf(process.store.append({ ...request, sequence: 9 }))).toBe('APPENDER_STALE');
        expect(await process.store.append({ ...request, sequence: 11 })).toEqual(committed(2));
        expect(await process.texts()).toEqual([
          [1, 'a'],
          [2, 'a'],
        ]);
      });

      it('refuses another log id', async () => {
        const process = await start();
        const request = process.request({ frames: 'a', logId: 'AAAAAAAAAAA' });
        expect(await codeOf(process.store.append(request))).toBe('APPENDER_STALE');
        expect(await process.texts()).toEqual([]);
      });

      it('goes on after reopen, with the log id and the head it gives', async () => {
        const process = await start();
        await process.append('a', 4);
        const state = await process.reopen();
        expect(state.head).toBe(4);
        expect(state.missing).toBeUndefined();
        expect(await process.append('b')).toBe(5);
      });
    });

    describe('the limit', () => {
      it('refuses what does not fit below the equal part of each shard, and appends nothing of it', async () => {
        const process = await start({ shards: 2, maxBytes: 20 });
        await process.append('12345');
        await process.append('1234');
        expect(await process.store.append(process.request({ frames: '12' }))).toEqual({ kind: 'full' });
        expect(await process.append('1')).toBe(3);
        expect(await process.append('1234567890', 1, 1)).toBe(1);
        expect((await process.store.stats(0)).bytes).toBe(10);
      });

      it('remembers no QoS 2 id of what it refused', async () => {
        const process = await start({ shards: 1, maxBytes: 10 });
        await process.append('123456789');
        const qos2Add = [{ clientId: 'c', packetId: 1 }];
        expect(await process.store.append(process.request({ frames: '12', qos2Add }))).toEqual({ kind: 'full' });
        expect(await process.store.append(process.request({ frames: '1', qos2Add }))).toEqual(committed(2));
      });

      it('still takes changes of QoS 2 ids when it is full', async () => {
        const process = await start({ shards: 1, maxBytes: 10 });
        await process.store.append(
          process.request({ frames: '1234567890', qos2Add: [{ clientId: 'c', packetId: 1 }] }),
        );
        const remove = process.request({ qos2Remove: [{ clientId: 'c', packetId: 1 }] });
        expect(await process.store.append(remove)).toEqual(committed(0));
        const add = process.request({ qos2Add: [{ clientId: 'c', packetId: 1 }] });
        expect(await process.store.append(add)).toEqual(committed(0));
      });

      it('takes appends again once bytes are released, and counts them over a restart', async () => {
        let process = await start({ shards: 1, maxBytes: 10 });
        await process.append('123456');
        await process.append('1234');
        process = await restart({ shards: 1, maxBytes: 10 });
        expect(await process.store.append(process.request({ frames: '1' }))).toEqual({ kind: 'full' });
        const lease = await process.lease();
        await process.store.settle(lease, { released: 1, trimmed: 2, freedBytes: 6, outcomes: { delivered: 1 } });
        expect(await process.append('654321')).toBe(3);
        expect(await process.store.append(process.request({ frames: '1' }))).toEqual({ kind: 'full' });
      });

      it('holds no bytes once the log is empty, however they were counted', async () => {
        const process = await start({ shards: 1, maxBytes: 10 });
        await process.append('123456');
        const lease = await process.lease();
        await process.store.settle(lease, { released: 1, trimmed: 2, freedBytes: 1 });
        expect((await process.store.stats(0)).bytes).toBe(0);
        expect(await process.append('1234567890')).toBe(2);
      });
    });

    describe('QoS 2 ids', () => {
      const id = (packetId: number, clientId = 'c'): { clientId: string; packetId: number } => ({ clientId, packetId });

      it('are taken once: all or nothing, with the indexes of the known ones', async () => {
        const process = await start();
        await process.store.append(process.request({ frames: 'a', qos2Add: [id(1), id(2)] }));
        const outcome = await process.store.append(
          process.request({ frames: 'b', count: 4, qos2Add: [id(3), id(2), id(4), id(1)] }),
        );
        expect(outcome).toEqual({ kind: 'duplicate', indexes: [1, 3] });
        expect(await process.texts()).toEqual([[1, 'a']]);
        expect(await process.store.append(process.request({ frames: 'c', qos2Add: [id(3), id(4)] }))).toEqual(
          committed(2),
        );
      });

      it('of a duplicate commit are neither removed nor cleared', async () => {
        const process = await start();
        await process.store.append(process.request({ qos2Add: [id(1), id(2), id(1, 'd')] }));
        const outcome = await process.store.append(
          process.request({ qos2Add: [id(1)], qos2Remove: [id(2)], qos2Clear: ['d'] }),
        );
        expect(outcome).toEqual({ kind: 'duplicate', indexes: [0] });
        const again = await process.store.append(process.request({ qos2Add: [id(2), id(1, 'd')] }));
        expect(again).toEqual({ kind: 'duplicate', indexes: [0, 1] });
      });

      it('belong to a client', async () => {
        const process = await start();
        await process.store.append(process.request({ qos2Add: [id(1, 'a')] }));
        expect(await process.store.append(process.request({ qos2Add: [id(1, 'b')] }))).toEqual(committed(0));
      });

      it('are free again once removed; unknown ones are ignored', async () => {
        const process = await start();
        await process.store.append(process.request({ frames: 'a', qos2Add: [id(1)] }));
        expect(await process.store.append(process.request({ qos2Remove: [id(1), id(99), id(1, 'nobody')] }))).toEqual(
          committed(0),
        );
        expect(await process.store.append(process.request({ frames: 'b', qos2Add: [id(1)] }))).toEqual(committed(2));
      });

      it('are cleared for a client before new ones are added', async () => {
        const process = await start();
        await process.store.append(process.request({ qos2Add: [id(1), id(2), id(1, 'other')] }));
        const outcome = await process.store.append(
          process.request({ frames: 'a', qos2Clear: ['c'], qos2Add: [id(1)] }),
        );
        expect(outcome).toEqual(committed(1));
        const second = await process.store.append(process.request({ qos2Add: [id(2), id(1)] }));
        expect(second).toEqual({ kind: 'duplicate', indexes: [1] });
        const other = await process.store.append(process.request({ qos2Add: [id(1, 'other')] }));
        expect(other).toEqual({ kind: 'duplicate', indexes: [0] });
      });

      it('outlive a restart, removed and cleared ones do not', async () => {
        let process = await start();
        await process.store.append(process.request({ frames: 'a', qos2Add: [id(1), id(2), id(65535)] }));
        await process.store.append(process.request({ qos2Add: [id(7, 'gone'), id(8, 'gone'), id(7, 'né\u{1F600}')] }));
        await process.store.append(process.request({ qos2Remove: [id(2)], qos2Clear: ['gone'] }));
        process = await restart();
        const known = process.request({ qos2Add: [id(1), id(2), id(65535), id(7, 'gone'), id(7, 'né\u{1F600}')] });
        expect(await process.store.append(known)).toEqual({ kind: 'duplicate', indexes: [0, 2, 4] });
        const free = process.request({ qos2Add: [id(2), id(7, 'gone'), id(8, 'gone')] });
        expect(await process.store.append(free)).toEqual(committed(0));
      });

      it('may be texts, under names that no client id has; they outlive a restart until they are removed or cleared', async () => {
        const text = (packetId: string, clientId = '\0keys1') => ({ clientId, packetId });
        let process = await start();
        const qos2Add = [text('a'), text('b'), text('7'), text('a', '\0keys2'), text('né'), id(7)];
        expect(await process.store.append(process.request({ frames: 'x', qos2Add }))).toEqual(committed(1));
        await process.store.append(process.request({ qos2Remove: [text('b')] }));
        process = await restart();
        const again = await process.store.append(process.request({ qos2Add }));
        expect(again).toEqual({ kind: 'duplicate', indexes: [0, 2, 3, 4, 5] });
        expect(await process.store.append(process.request({ qos2Add: [text('b')] }))).toEqual(committed(0));
        const cleared = process.request({ qos2Clear: ['\0keys1'], qos2Add: [text('a'), text('né')] });
        expect(await process.store.append(cleared)).toEqual(committed(0));
        process = await restart();
        const left = await process.store.append(process.request({ qos2Add }));
        expect(left).toEqual({ kind: 'duplicate', indexes: [0, 3, 4, 5] });
      });

      it('of client ids that look like something else are kept apart', async () => {
        const process = await start();
        for (const clientId of ['__proto__', 'constructor', '', ':', '{x}', 'a b', "'; --"]) {
          expect(await process.store.append(process.request({ qos2Add: [id(1, clientId)] }))).toEqual(committed(0));
          const again = await process.store.append(process.request({ qos2Add: [id(1, clientId)] }));
          expect(again).toEqual({ kind: 'duplicate', indexes: [0] });
        }
      });
    });

    describe('cursors', () => {
      it('move with the frame they came with, over a restart', async () => {
        let process = await start();
        await process.store.append(process.request({ frames: 'a', cursors: { one: '1', two: '2' } }));
        await process.store.append(process.request({ frames: 'b', cursors: { one: '5', two: '' } }));
        await process.append('c');
        process = await restart();
        const { cursors, accepted } = await process.store.stats(0);
        expect(cursors).toEqual({ one: '5' });
        expect(accepted).toBe(3);
      });

      it('stay where they are when the frame is refused', async () => {
        const process = await start({ shards: 2, maxBytes: 20 });
        await process.store.append(process.request({ frames: 'a', cursors: { one: '1' } }));
        const late = process.request({ frames: 'b', cursors: { one: '2' } });
        expect(await codeOf(process.store.append({ ...late, logId: 'another-log' }))).toBe('APPENDER_STALE');
        const large = process.request({ frames: '1234567890', cursors: { one: '3' } });
        expect(await process.store.append(large)).toEqual({ kind: 'full' });
        expect((await process.store.stats(0)).cursors).toEqual({ one: '1' });
      });

      it('belong to a shard', async () => {
        const process = await start();
        await process.store.append(process.request({ frames: 'a', cursors: { one: '1' } }));
        expect((await process.store.stats(1)).cursors).toEqual({});
      });
    });

    describe('reading', () => {
      it('begins with the frame that holds the offset, or the first after it', async () => {
        const process = await start();
        await process.append('a', 3);
        await process.append('b', 3);
        await process.append('c', 3);
        const bases = async (from: number): Promise<number[]> => (await process.texts(from)).map(([base]) => base);
        expect(await bases(1)).toEqual([1, 4, 7]);
        expect(await bases(3)).toEqual([1, 4, 7]);
        expect(await bases(4)).toEqual([4, 7]);
        expect(await bases(6)).toEqual([4, 7]);
        expect(await bases(9)).toEqual([7]);
        expect(await bases(10)).toEqual([]);
        await process.store.settle(await process.lease(), { released: 3, trimmed: 4, freedBytes: 1 });
        expect(await bases(1)).toEqual([4, 7]);
      });

      it('gives at least one frame, else no more than maxBytes', async () => {
        const process = await start();
        for (let i = 0; i < 40; i++) await process.append('x'.repeat(100));
        expect(await process.texts(1, 0, 1)).toHaveLength(1);
        expect(await process.texts(1, 0, 250)).toHaveLength(2);
        const some = await process.texts(1, 0, 3_000);
        expect(some.length).toBeGreaterThan(20);
        expect(some.length).toBeLessThanOrEqual(30);
        expect(await process.texts(1, 0, 1e6)).toHaveLength(40);
      });

      it('goes through a long log piece by piece, in order', async () => {
        const process = await start();
        const written: [number, string][] = [];
        for (let i = 0; i < 300; i++) {
          const text = `${i}`.repeat(1 + (i % 50));
          written.push([await process.append(text, 1 + (i % 3)), text]);
        }
        const found: [number, string][] = [];
        for (let from = 1; ;) {
          const some = await process.texts(from, 0, 500);
          const last = some.at(-1);
          if (last === undefined) break;
          found.push(...some);
          from = last[0] + 1 + ((found.length - 1) % 3);
        }
        expect(found).toEqual(written);
      });
    });

    describe('settling', () => {
      it('removes frames below the trim point, and only those', async () => {
        let process = await start();
        await process.appendAll('a', 'b', 'c', 'd');
        const lease = await process.lease();
        await process.store.settle(lease, { released: 3, trimmed: 3, freedBytes: 2, outcomes: { delivered: 3 } });
        expect(await process.texts()).toEqual([
          [3, 'c'],
          [4, 'd'],
        ]);
        process = await restart();
        expect(await process.texts()).toEqual([
          [3, 'c'],
          [4, 'd'],
        ]);
        const stats = await process.store.stats(0);
        expect(stats).toMatchObject({ head: 4, released: 3, accepted: 4, logMessages: 1, bytes: 2 });
      });

      it('hands the place to the next owner: the first unsettled offset and the oldest frame', async () => {
        let process = await start();
        await process.append('abc', 3);
        await process.append('def', 3);
        const first = await process.lease();
        expect(first).toMatchObject({ released: 1, trimmed: 1, parked: [], marks: {} });
        await process.store.settle(first, { released: 4, trimmed: 4, freedBytes: 3 });
        process = await restart();
        expect(await process.lease()).toMatchObject({ released: 5, trimmed: 4 });
      });

      it('never moves backwards', async () => {
        const process = await start();
        await process.appendAll('a', 'b', 'c');
        const lease = await process.lease();
        await process.store.settle(lease, { released: 2, trimmed: 2, freedBytes: 1 });
        await process.store.settle(lease, { released: 1, trimmed: 1 });
        expect((await process.store.stats(0)).released).toBe(2);
        expect((await process.lease()).trimmed).toBe(2);
      });

      it('never trims what is not released', async () => {
        const process = await start();
        await process.appendAll('a', 'b', 'c');
        await process.store.settle(await process.lease(), { released: 1, trimmed: 3, freedBytes: 1 });
        expect((await process.texts()).map(([base]) => base)).toEqual([2, 3]);
      });

      it('refuses to release what was never appended', async () => {
        const process = await start();
        await process.append('a');
        const lease = await process.lease();
        expect(await codeOf(process.store.settle(lease, { released: 2 }))).toBe('FENCED');
        expect((await process.store.stats(0)).released).toBe(0);
      });

      it('adds up the outcomes, by rule, over restarts', async () => {
        let process = await start();
        await process.append('a', 20);
        await process.store.settle(await process.lease(), {
          released: 6,
          outcomes: { delivered: 3, expired: 1, discarded: { invalid: 1, 'no-route': 1 } },
        });
        process = await restart();
        await process.store.settle(await process.lease(), {
          released: 12,
          outcomes: { delivered: 2, deadLettered: 2, discarded: { invalid: 2 } },
        });
        expect((await process.store.stats(0)).outcomes).toEqual({
          delivered: 5,
          deadLettered: 2,
          expired: 1,
          discarded: { invalid: 3, 'no-route': 1 },
        });
      });

      it('takes the same settlement once, however often it is given', async () => {
        const process = await start();
        await process.appendAll('a', 'b');
        const lease = await process.lease();
        const change: Settlement = {
          released: 1,
          outcomes: { delivered: 1 },
          park: [{ topic: 't', bytes: Buffer.from('p'), messages: 1 }],
        };
        await process.store.settle(lease, change);
        await process.store.settle(lease, change);
        await process.store.settle(lease, { released: 2, outcomes: { delivered: 1 } });
        await process.store.settle(lease, change);
        const stats = await process.store.stats(0);
        expect(stats.outcomes.delivered).toBe(2);
        expect(stats.parkedMessages).toBe(1);
      });

      it('applies settlements in the order of the calls', async () => {
        const process = await start();
        await process.append('x', 200);
        const lease = await process.lease();
        await Promise.all(
          Array.from({ length: 50 }, (_, i) =>
            process.store.settle(lease, { released: i + 1, outcomes: { delivered: 1 }, marks: { at: `${i}` } }),
          ),
        );
        expect((await process.store.stats(0)).outcomes.delivered).toBe(50);
        expect((await process.lease()).marks).toEqual({ at: '49' });
      });

      it('goes together with appends of the same moment', async () => {
        const process = await start();
        await process.append('x', 10);
        const lease = await process.lease();
        const results = await Promise.all([
          process.append('y'),
          process.store.settle(lease, { released: 10, trimmed: 11, freedBytes: 1, outcomes: { delivered: 10 } }),
        ]);
        expect(results[0]).toBe(11);
        expect(await process.texts()).toEqual([[11, 'y']]);
        expect((await process.store.stats(0)).bytes).toBe(1);
      });

      it('keeps marks until they are removed', async () => {
        let process = await start();
        await process.store.settle(await process.lease(), { marks: { routes: 'v1', partitions: '{"t":3}' } });
        process = await restart();
        const lease = await process.lease();
        expect(lease.marks).toEqual({ routes: 'v1', partitions: '{"t":3}' });
        await process.store.settle(lease, { marks: { routes: '', partitions: 'x' } });
        expect((await process.lease()).marks).toEqual({ partitions: 'x' });
      });

      it('sets frames aside, each once, and keeps them over a restart', async () => {
        let process = await start();
        await process.appendAll('a', 'bad', 'c');
        const setAside = [{ base: 2, bytes: Buffer.from('bad') }];
        await process.store.settle(await process.lease(), { released: 2, trimmed: 3, freedBytes: 4, setAside });
        expect((await process.store.stats(0)).setAside).toBe(1);
        process = await restart();
        await process.store.settle(await process.lease(), { setAside });
        expect((await process.store.stats(0)).setAside).toBe(1);
        expect((await process.store.stats(0)).bytes).toBe(1);
      });

      it('keeps the newest 1000 frames that were set aside', async () => {
        const process = await start();
        await process.append('x', 1100);
        const setAside = Array.from({ length: 1_100 }, (_, i) => ({ base: i + 1, bytes: Buffer.from(`bad ${i}`) }));
        await process.store.settle(await process.lease(), { setAside });
        expect((await process.store.stats(0)).setAside).toBe(1_000);
      });
    });

    describe('parking', () => {
      const park = (topic: string, text: string, messages = 1): NonNullable<Settlement['park']>[number] => ({
        topic,
        bytes: Buffer.from(text),
        messages,
      });
      const parked = async (process: TestProcess, topic: string, after = 0, maxBytes = 1e6): Promise<string[]> =>
        (await process.store.readParked(0, topic, after, maxBytes)).map(({ bytes }) => bytes.toString());

      it('keeps entries per topic in order, over a restart', async () => {
        let process = await start();
        await process.append('abc', 3);
        const lease = await process.lease();
        await process.store.settle(lease, {
          released: 2,
          park: [park('t', 'one'), park('u', 'other'), park('t', 'two')],
        });
        await process.store.settle(lease, { released: 3, trimmed: 4, freedBytes: 3, park: [park('t', 'three')] });
        expect(await parked(process, 't')).toEqual(['one', 'two', 'three']);
        process = await restart();
        expect(await parked(process, 't')).toEqual(['one', 'two', 'three']);
        expect(await parked(process, 'u')).toEqual(['other']);
        expect(await parked(process, 'nothing')).toEqual([]);
        const { parked: states } = await process.lease();
        expect([...states].sort((a, b) => a.topic.localeCompare(b.topic))).toEqual([
          { topic: 't', entries: 3, messages: 3, bytes: 11 },
          { topic: 'u', entries: 1, messages: 1, bytes: 5 },
        ]);
      });

      it('reads behind a position, at least one entry, else no more than maxBytes', async () => {
        const process = await start();
        const lease = await process.lease();
        await process.store.settle(lease, { park: ['a', 'b', 'c', 'd'].map((text) => park('t', text.repeat(100))) });
        const all = await process.store.readParked(0, 't', 0, 1e6);
        expect(all.map(({ position }) => position).every((at, i, list) => at > (list[i - 1] ?? 0))).toBe(true);
        expect(await parked(process, 't', all[1]!.position)).toEqual(['c'.repeat(100), 'd'.repeat(100)]);
        expect(await parked(process, 't', 0, 1)).toHaveLength(1);
        expect(await parked(process, 't', 0, 250)).toHaveLength(2);
        expect(await parked(process, 't', all[3]!.position)).toEqual([]);
      });

      it('removes entries up to a position, and never uses a position again', async () => {
        let process = await start();
        let lease = await process.lease();
        await process.store.settle(lease, { park: [park('t', 'a'), park('t', 'b'), park('t', 'c')] });
        const first = await process.store.readParked(0, 't', 0, 1e6);
        const upTo = first[1]!.position;
        await process.store.settle(lease, {
          unpark: [{ topic: 't', upTo, messages: 2, bytes: 2 }],
          outcomes: { delivered: 2 },
        });
        expect(await parked(process, 't')).toEqual(['c']);
        const all = { topic: 't', upTo: first[2]!.position, messages: 1, bytes: 1 };
        await process.store.settle(lease, { unpark: [all] });
        expect((await process.lease()).parked).toEqual([]);
        process = await restart();
        lease = await process.lease();
        await process.store.settle(lease, { park: [park('t', 'd')] });
        const next = await process.store.readParked(0, 't', 0, 1e6);
        expect(next[0]!.position).toBeGreaterThan(first[2]!.position);
        expect(await parked(process, 't', first[2]!.position)).toEqual(['d']);
      });

      it('counts towards the limit, and gives its bytes back', async () => {
        const process = await start({ shards: 1, maxBytes: 10 });
        await process.append('123456');
        const lease = await process.lease();
        await process.store.settle(lease, { released: 1, trimmed: 2, freedBytes: 6, park: [park('t', '12345678')] });
        expect((await process.store.stats(0)).bytes).toBe(8);
        expect(await process.store.append(process.request({ frames: '123' }))).toEqual({ kind: 'full' });
        const [entry] = await process.store.readParked(0, 't', 0, 100);
        await process.store.settle(lease, { unpark: [{ topic: 't', upTo: entry!.position, messages: 1, bytes: 8 }] });
        expect((await process.store.stats(0)).bytes).toBe(0);
        expect(await process.append('1234567890')).toBe(2);
      });

      it('has room at the limit, as settling and unparking have: what was accepted can always be finished', async () => {
        let process = await start({ shards: 1, maxBytes: 10 });
        await process.append('12345', 5);
        await process.append('67890', 5);
        const full = async (): Promise<void> =>
          expect(await process.store.append(process.request({ frames: '1' }))).toEqual({ kind: 'full' });
        await full();
        let lease = await process.lease();
        // Parked entries are larger than what they free, and one message may be parked for several topics.
        await process.store.settle(lease, {
          released: 5,
          trimmed: 6,
          freedBytes: 5,
          park: [park('t', '1'.repeat(50), 5), park('u', '1'.repeat(50), 0)],
        });
        expect((await process.store.stats(0)).bytes).toBe(105);
        await full();
        process = await restart({ shards: 1, maxBytes: 10 });
        await full();
        lease = await process.lease();
        await process.store.settle(lease, {
          released: 10,
          trimmed: 11,
          freedBytes: 5,
          outcomes: { delivered: 5 },
          marks: { note: 'kept' },
        });
        await full();
        for (const topic of ['t', 'u']) {
          const [entry] = await process.store.readParked(0, topic, 0, 1e6);
          const messages = topic === 't' ? 5 : 0;
          await process.store.settle(lease, {
            unpark: [{ topic, upTo: entry!.position, messages, bytes: 50 }],
            outcomes: { delivered: messages },
          });
        }
        expect(await process.store.stats(0)).toMatchObject({ bytes: 0, accepted: 10, outcomes: { delivered: 10 } });
        expect(await process.append('1234567890')).toBe(11);
      });

      it('keeps the ledger balanced through parking, restart and delivery', async () => {
        let process = await start();
        await process.append('abcdefgh', 8);
        const lease = await process.lease();
        await process.store.settle(lease, { released: 5, outcomes: { delivered: 2 }, park: [park('t', 'xyz', 3)] });
        const balance = async (): Promise<void> => {
          const { accepted, logMessages, parkedMessages, outcomes } = await process.store.stats(0);
          const discarded = Object.values(outcomes.discarded).reduce((sum, count) => sum + count, 0);
          const settled = outcomes.delivered + outcomes.deadLettered + outcomes.expired + discarded;
          expect(logMessages + parkedMessages + settled).toBe(accepted);
        };
        await balance();
        process = await restart();
        await balance();
        const [entry] = await process.store.readParked(0, 't', 0, 100);
        await process.store.settle(await process.lease(), {
          unpark: [{ topic: 't', upTo: entry!.position, messages: 3, bytes: 3 }],
          outcomes: { delivered: 1, deadLettered: 2 },
        });
        await balance();
        expect(await process.store.stats(0)).toMatchObject({ accepted: 8, logMessages: 3, parkedMessages: 0 });
      });

      it('takes topics of any name', async () => {
        const process = await start();
        const lease = await process.lease();
        const topics = ['a', 'a.b', 'a:b', '{a}', '__proto__', 'constructor', 'aa'];
        for (const topic of topics) await process.store.settle(lease, { park: [park(topic, `of ${topic}`)] });
        for (const topic of topics) expect(await parked(process, topic)).toEqual([`of ${topic}`]);
        expect((await process.lease()).parked.map(({ topic }) => topic).sort()).toEqual([...topics].sort());
      });
    });

    describe('leases', () => {
      it('give a greater token each time, over restarts', async () => {
        let process = await start();
        const first = await process.lease();
        const second = await process.lease();
        expect(second.token).toBeGreaterThan(first.token);
        process = await restart();
        // What crashed may still hold it until it runs out.
        await expect.poll(() => process.store.acquire(0, 1000), { timeout: 5_000 }).toBeDefined();
        expect((await process.lease()).token).toBeGreaterThan(second.token);
      });

      it('are renewed by their owner, and void once a newer one was given', async () => {
        const process = await start();
        const first = await process.lease(0, 1_000);
        expect(await process.store.renew(first, 60_000)).toBe(true);
        const second = await process.lease();
        expect(await process.store.renew(first, 60_000)).toBe(false);
        expect(await process.store.renew(second, 60_000)).toBe(true);
      });

      it('fence: an older token settles nothing', async () => {
        const process = await start();
        await process.appendAll('a', 'b');
        const old = await process.lease();
        const now = await process.lease();
        const change: Settlement = {
          released: 2,
          trimmed: 3,
          freedBytes: 2,
          outcomes: { delivered: 2 },
          park: [{ topic: 't', bytes: Buffer.from('x'), messages: 1 }],
          marks: { a: 'b' },
        };
        expect(await codeOf(process.store.settle(old, change))).toBe('FENCED');
        expect(await process.texts()).toHaveLength(2);
        expect(await process.store.stats(0)).toMatchObject({
          released: 0,
          parkedMessages: 0,
          outcomes: { delivered: 0 },
        });
        await process.store.settle(now, change);
        expect(await process.texts()).toHaveLength(0);
      });

      it('name their owner in the stats until they are given up', async () => {
        const process = await start();
        expect((await process.store.stats(0)).owner).toBeUndefined();
        const lease = await process.lease();
        expect((await process.store.stats(0)).owner).toEqual(expect.any(String));
        await process.store.yield(lease);
        expect((await process.store.stats(0)).owner).toBeUndefined();
        expect(await codeOf(process.store.settle(lease, { marks: { a: 'b' } }))).toBe('FENCED');
      });
    });

    describe('after a restart', () => {
      it('everything committed is there, and offsets go on', async () => {
        let process = await start({ shards: 2 });
        const expected: [number, string][] = [];
        for (let round = 0; round < 4; round++) {
          for (let i = 0; i < 5; i++) {
            const text = `${round}/${i}`;
            expected.push([await process.append(text, 1 + i), text]);
          }
          process = await restart({ shards: 2 });
          expect(process.opening.shards[0]!.head).toBe(process.states[0]!.head);
          expect(await process.texts()).toEqual(expected);
        }
        expect(process.opening.shards[0]!.head).toBe(4 * 15);
        expect((await process.store.stats(0)).accepted).toBe(60);
      });

      it('the log id of each stored offset is still known', async () => {
        let process = await start();
        const idOf = (offset: number): string =>
          process.states[0]!.epochs.filter(({ from }) => from <= offset).at(-1)!.logId;
        const named = new Map<number, string>();
        for (let round = 0; round < 3; round++) {
          const base = await process.append(`of ${round}`, 2);
          named.set(base, process.logId());
          named.set(base + 1, process.logId());
          process = await restart();
        }
        for (const [offset, logId] of named) expect(idOf(offset)).toBe(logId);
      });

      it('log ids whose messages are all gone are forgotten', async () => {
        let process = await start();
        for (let round = 0; round < 5; round++) {
          await process.append('x');
          await process.store.settle(await process.lease(), { released: round + 1, trimmed: round + 2, freedBytes: 1 });
          process = await restart();
        }
        expect(process.states[0]!.epochs.length).toBeLessThanOrEqual(2);
      });

      it('from an older copy, the log goes on under a new id, so that no sluice-id is used twice', async () => {
        let process = await start();
        const used = new Set<string>();
        const use = async (text: string): Promise<void> => {
          const id = `${process.logId()}:0:${await process.append(text)}`;
          expect(used).not.toContain(id);
          used.add(id);
        };
        await use('a');
        await use('b');
        await harness.crash();
        const restore = await harness.copy();
        process = await start();
        await use('lost 1');
        await use('lost 2');
        await harness.crash();
        await restore();
        process = await start();
        expect(process.states[0]!.head).toBe(2);
        expect((await process.texts()).map(([, text]) => text)).toEqual(['a', 'b']);
        await use('c');
        await use('d');
        await use('e');
        expect(used.size).toBe(7);
      });

      it('twice from the same copy without an append in between, ids differ still', async () => {
        let process = await start();
        await process.append('a');
        await harness.crash();
        const restore = await harness.copy();
        const ids: string[] = [];
        for (let i = 0; i < 3; i++) {
          process = await start();
          ids.push(process.logId());
          await process.append('b');
          await harness.crash();
          await restore();
        }
        expect(new Set(ids).size).toBe(3);
      });
    });

    describe('when reopen knows of a higher head', () => {
      it('goes on behind it under a new log id and says what is missing', async () => {
        const process = await start();
        await process.appendAll('a', 'b');
        const before = process.logId();
        const state = await process.reopen(0, 10);
        expect(state.head).toBe(10);
        expect(state.missing).toEqual({ from: 3, to: 10 });
        expect(state.epochs.at(-1)).toMatchObject({ from: 11 });
        expect(process.logId()).not.toBe(before);
        expect(await process.append('c')).toBe(11);
        expect(await process.texts()).toEqual([
          [1, 'a'],
          [2, 'b'],
          [11, 'c'],
        ]);
        expect((await process.reopen(0, 11)).missing).toBeUndefined();
        const stats = await process.store.stats(0);
        expect(stats.accepted - stats.logMessages).toBe(0);
      });
    });

    it('bounds what it says it holds: stats of an empty shard are zero', async () => {
      const process = await start();
      expect(await process.store.stats(0)).toEqual({
        shard: 0,
        head: 0,
        released: 0,
        accepted: 0,
        outcomes: { delivered: 0, deadLettered: 0, expired: 0, discarded: {} },
        logMessages: 0,
        parkedMessages: 0,
        bytes: 0,
        parked: [],
        setAside: 0,
        cursors: {},
        owner: undefined,
      });
    });

    if (shared) sharedConformance(() => harness);
  });
}

/** What several processes on one store see of each other. */
function sharedConformance(current: () => StoreHarness): void {
  describe('shared by several processes', () => {
    let harness: StoreHarness;
    beforeEach(() => {
      harness = current();
    });

    const start = (events?: StoreEvents): Promise<TestProcess> => new TestProcess(harness.makeStore()).open(events);

    it('all append to one order', async () => {
      const [one, two] = [await start(), await start()];
      const texts: string[] = [];
      for (let i = 0; i < 10; i++) {
        expect(await one.append(`one ${i}`)).toBe(2 * i + 1);
        expect(await two.append(`two ${i}`)).toBe(2 * i + 2);
        texts.push(`one ${i}`, `two ${i}`);
      }
      expect((await two.texts()).map(([, text]) => text)).toEqual(texts);
    });

    it('appends of several processes at once take different offsets', async () => {
      const all = await Promise.all([start(), start(), start()]);
      const bases: number[] = [];
      await Promise.all(
        all.map(async (process) => {
          for (let i = 0; i < 20; i++) bases.push(await process.append('x', 3));
        }),
      );
      expect(bases.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => 1 + 3 * i));
    });

    it('share QoS 2 ids: a device that comes back elsewhere is recognised', async () => {
      const [one, two] = [await start(), await start()];
      const qos2Add = [{ clientId: 'c', packetId: 5 }];
      expect(await one.store.append(one.request({ frames: 'a', qos2Add }))).toEqual(committed(1));
      expect(await two.store.append(two.request({ frames: 'a', qos2Add }))).toEqual({
        kind: 'duplicate',
        indexes: [0],
      });
      await two.store.append(two.request({ qos2Remove: qos2Add }));
      expect(await one.store.append(one.request({ frames: 'b', qos2Add }))).toEqual(committed(2));
    });

    it('one holds a shard; another gets it when it is given up or runs out', async () => {
      const [one, two] = [await start(), await start()];
      const first = await one.lease(0, 60_000);
      expect(await two.store.acquire(0, 1_000)).toBeUndefined();
      await one.store.yield(first);
      const second = await two.lease(0, 50);
      await expect.poll(() => one.store.acquire(0, 1_000), { timeout: 5_000 }).toBeDefined();
      expect(await two.store.renew(second, 1_000)).toBe(false);
      expect(await codeOf(two.store.settle(second, { marks: { a: 'b' } }))).toBe('FENCED');
    });

    it('an owner whose lease ran out may still settle while nobody took the shard', async () => {
      const one = await start();
      await one.append('a');
      const lease = await one.lease(0, 20);
      await expect.poll(async () => (await one.store.stats(0)).owner, { timeout: 5_000 }).toBeUndefined();
      await one.store.settle(lease, { released: 1, outcomes: { delivered: 1 } });
      expect((await one.store.stats(0)).released).toBe(1);
    });

    it('wake the owner of a shard when another process appends to it, and do not wake it for its own', async () => {
      const woken: number[] = [];
      const one = await start({ appended: (shard) => void woken.push(shard), availability: () => {} });
      const two = await start();
      await one.lease(1, 60_000);
      await one.append('own', 1, 1);
      await two.append('a', 1, 0);
      await two.append('b', 1, 1);
      await expect.poll(() => woken, { timeout: 5_000 }).toContain(1);
      expect(woken).toEqual([1]);
    });

    it('one that died does not keep the others from appending', async () => {
      const [one, two] = [await start(), await start()];
      await one.append('a');
      await one.store.close();
      expect(await two.append('b')).toBe(2);
    });

    it('a log that was emptied goes on behind what was known, under a new id', async () => {
      const process = await start();
      await process.appendAll('a', 'b', 'c');
      const before = process.logId();
      await harness.empty!();
      expect(await codeOf(process.store.append(process.request({ frames: 'd' })))).toBe('APPENDER_STALE');
      const state = await process.reopen();
      expect(state).toMatchObject({ head: 3, missing: { from: 1, to: 3 } });
      expect(process.logId()).not.toBe(before);
      expect(await process.append('d')).toBe(4);
      expect(await process.texts()).toEqual([[4, 'd']]);
      expect(await process.store.stats(0)).toMatchObject({ accepted: 1, logMessages: 1, bytes: 1 });
    });

    it('the owner of a log that was emptied is fenced, and its next lease begins with the new log', async () => {
      const process = await start();
      await process.appendAll('a', 'b', 'c');
      const lease = await process.lease();
      await process.texts();
      await harness.empty!();
      const [renewed, settled] = [
        await process.store.renew(lease, 60_000),
        await codeOf(process.store.settle(lease, { released: 3, trimmed: 4, freedBytes: 3 })),
      ];
      expect(renewed).toBe(false);
      expect(settled).toBe('FENCED');
      await process.lease();
      const state = await process.reopen();
      expect(state.missing).toEqual({ from: 1, to: 3 });
      expect(await process.append('d')).toBe(4);
      expect((await process.lease()).released).toBeGreaterThanOrEqual(1);
      expect(await process.texts(1)).toEqual([[4, 'd']]);
    });

    it('a log that was rolled back: each process finds out, ids differ, the owner does not settle what is not there', async () => {
      const [owner, other] = [await start(), await start()];
      await owner.appendAll('a', 'b');
      // The copy knows the lease, so that nothing but the log's new id tells the owner apart from one that may settle.
      const lease = await owner.lease();
      const restore = await harness.copyLive!();
      await owner.appendAll('lost 3', 'lost 4');
      expect(await owner.texts()).toHaveLength(4);
      const oldId = owner.logId();

      await restore();
      // The other one knows less, comes first, and appends behind the end of what was restored.
      await expect.poll(() => codeOf(other.reopen(0, 0)), { timeout: 10_000 }).toBe('no error');
      expect(other.logId()).not.toBe(oldId);
      expect(await other.append('new 3')).toBe(3);
      await other.appendAll('new 4', 'new 5');

      const settled = async (): Promise<string> => {
        const code = await codeOf(owner.store.settle(lease, { released: 4, trimmed: 5, freedBytes: 14 }));
        return code === 'STORE_UNAVAILABLE' ? 'not yet' : code;
      };
      await expect.poll(settled, { timeout: 10_000 }).toBe('FENCED');
      const state = await owner.reopen();
      expect(state.missing).toEqual({ from: 3, to: 4 });
      expect(owner.logId()).toBe(other.logId());
      const again = await expect
        .poll(() => owner.store.acquire(0, 60_000), { timeout: 10_000 })
        .toBeDefined()
        .then(() => owner.lease());
      expect(again.released).toBe(1);
      expect((await owner.texts()).map(([, text]) => text)).toEqual(['a', 'b', 'new 3', 'new 4', 'new 5']);
      expect(await owner.append('new 6')).toBe(6);
    });

    it('a restart that lost nothing costs the owner nothing', async () => {
      const process = await start();
      await process.appendAll('a', 'b');
      const lease = await process.lease();
      await process.texts();
      const restore = await harness.copyLive!();
      await restore();
      await expect.poll(() => codeOf(process.reopen()), { timeout: 10_000 }).toBe('no error');
      expect(process.states[0]!.missing).toBeUndefined();
      expect(process.states[0]!.epochs).toHaveLength(2);
      expect(await process.append('c')).toBe(3);
      await expect.poll(() => codeOf(process.texts()), { timeout: 10_000 }).toBe('no error');
      const change = { released: 3, trimmed: 4, freedBytes: 3, outcomes: { delivered: 3 } };
      await process.store.settle(lease, change);
      expect(await process.store.renew(lease, 60_000)).toBe(true);
      expect(await process.texts()).toEqual([]);
    });
  });
}
