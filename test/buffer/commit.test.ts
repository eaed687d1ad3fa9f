import { describe, expect, it, vi, afterEach, beforeEach } from 'vitest';
import { GroupCommit, type CommitWaiter } from '../../src/buffer/commit.ts';
import { decodeFrame } from '../../src/buffer/frame.ts';
import type { AppendOutcome, AppendRequest, BufferStore, ShardState } from '../../src/buffer/store.ts';
import { SluiceError } from '../../src/errors.ts';
import { Origin, type Message } from '../../src/message.ts';

const LOG_A = 'AAAAAAAAAAA';
const LOG_B = 'BBBBBBBBBBA';

/** A store whose every answer the test gives by hand: what a real one cannot be made to do on cue. */
class ScriptedStore {
  readonly shards = 1;
  maxBytes = 1_000_000;
  appends: { request: AppendRequest; answer: (outcome: AppendOutcome) => void; fail: (error: SluiceError) => void }[] =
    [];
  reopens: { knownHead: number; answer: (state: ShardState) => void; fail: (error: SluiceError) => void }[] = [];

  append(request: AppendRequest): Promise<AppendOutcome> {
    return new Promise((answer, fail) => this.appends.push({ request, answer, fail }));
  }

  reopen(_shard: number, knownHead: number): Promise<ShardState> {
    return new Promise((answer, fail) => this.reopens.push({ knownHead, answer, fail }));
  }
}

function message(payload: string, overrides: Partial<Message> = {}): Message {
  return {
    clientId: 'd1',
    user: '',
    topic: 't',
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    dup: false,
    origin: Origin.mqtt,
    receivedAt: 1,
    properties: undefined,
    ...overrides,
  };
}

function setUp(options: Partial<ConstructorParameters<typeof GroupCommit>[2]> = {}) {
  const store = new ScriptedStore();
  const log: string[] = [];
  const commit = new GroupCommit(
    store as unknown as BufferStore,
    { shard: 0, epochs: [{ logId: LOG_A, from: 1 }], head: 0 },
    {
      shard: 0,
      appendTimeoutMs: 10_000,
      softLimit: 0.8,
      pendingMaxBytes: 1_000_000,
      frameMaxBytes: 100_000,
      ...options,
    },
    {
      frameCommitted: (_shard, base, count) => log.push(`frame ${base}+${count}`),
      logReplaced: (_shard, missing) => log.push(`missing ${missing.from}-${missing.to}`),
      health: (_shard, error) => log.push(`health ${error?.code ?? 'ok'}`),
    },
  );
  const waiter = (name: string): CommitWaiter => ({
    committed: (duplicate) => log.push(`${name} ${duplicate ? 'duplicate' : 'committed'}`),
    refused: (error) => log.push(`${name} refused ${error.code}`),
    dropped: () => log.push(`${name} dropped`),
  });
  const payloads = (index: number): string[] => {
    const frame = store.appends[index]?.request.frame;
    return frame === undefined ? [] : decodeFrame(frame).messages.map((one) => one.payload.toString());
  };
  return { store, log, commit, waiter, payloads };
}

/** Lets setImmediate and the promises behind it run. */
const turn = (): Promise<void> => vi.advanceTimersByTimeAsync(1).then(() => undefined);
const committed = (base: number, bytes = 100): AppendOutcome => ({ kind: 'committed', base, bytes });

describe('group commit', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] }));
  afterEach(() => vi.useRealTimers());

  it('commits what one turn brought as one frame, and acknowledges nothing before the store has answered', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('1'), waiter('a'));
    commit.append(message('2'), waiter('b'));
    await turn();
    expect(store.appends).toHaveLength(1);
    expect(payloads(0)).toEqual(['1', '2']);
    expect(store.appends[0]?.request).toMatchObject({ logId: LOG_A, sequence: 1, count: 2 });
    expect(log).toEqual([]);
    store.appends[0]?.answer(committed(1));
    await turn();
    expect(log).toEqual(['frame 1+2', 'a committed', 'b committed']);
  });

  it('has one append in flight; what comes meanwhile is the next frame', async () => {
    const { store, commit, waiter, payloads } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    for (let i = 2; i <= 5; i++) commit.append(message(String(i)), waiter(`w${i}`));
    await turn();
    expect(store.appends).toHaveLength(1);
    store.appends[0]?.answer(committed(1));
    await turn();
    expect(store.appends).toHaveLength(2);
    expect(payloads(1)).toEqual(['2', '3', '4', '5']);
    expect(store.appends[1]?.request.sequence).toBe(2);
  });

  it('keeps a barrier in its place among the messages, and needs no append for barriers alone', async () => {
    const { store, log, commit, waiter } = setUp();
    commit.append(message('1'), waiter('a'));
    commit.barrier(waiter('unrouted'));
    commit.append(message('2'), waiter('b'));
    await turn();
    store.appends[0]?.answer(committed(1));
    await turn();
    expect(log.slice(1)).toEqual(['a committed', 'unrouted committed', 'b committed']);
    commit.barrier(waiter('alone'));
    await turn();
    expect(log.at(-1)).toBe('alone committed');
    expect(store.appends).toHaveLength(1);
  });

  it('refuses all that waits when an outcome is unknown, and never sends that frame again', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    commit.append(message('2'), waiter('b'));
    store.appends[0]?.fail(new SluiceError('STORE_TIMEOUT', 'no answer'));
    await turn();
    expect(log).toEqual(['health STORE_TIMEOUT', 'a refused STORE_TIMEOUT', 'b refused STORE_TIMEOUT']);
    commit.append(message('3'), waiter('c'));
    store.reopens[0]?.answer({ shard: 0, epochs: [{ logId: LOG_A, from: 1 }], head: 1 });
    await turn();
    expect(payloads(1)).toEqual(['3']);
    store.appends[1]?.answer(committed(2));
    await turn();
    expect(log.slice(3)).toEqual(['health ok', 'frame 2+1', 'c committed']);
  });

  it('appends again what certainly was not appended, under the log id and with a sequence of its own', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    store.appends[0]?.fail(new SluiceError('APPENDER_STALE', 'unknown token'));
    await turn();
    store.reopens[0]?.answer({ shard: 0, epochs: [{ logId: LOG_B, from: 8 }], head: 7, missing: { from: 3, to: 7 } });
    await turn();
    expect(log).toContain('missing 3-7');
    expect(payloads(1)).toEqual(['1']);
    expect(store.appends[1]?.request).toMatchObject({ logId: LOG_B, sequence: 2 });
    expect(decodeFrame(store.appends[1]!.request.frame!).logId).toBe(LOG_B);
    store.appends[1]?.answer(committed(8));
    await turn();
    expect(log.at(-1)).toBe('a committed');
  });

  it('holds a frame while the buffer is full, drops its QoS 0 and refuses the rest at the append timeout', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('zero', { qos: 0 }), waiter('z'));
    commit.append(message('one'), waiter('a'));
    await turn();
    store.appends[0]?.answer({ kind: 'full' });
    await turn();
    expect(log).toEqual(['health STORE_FULL', 'z dropped']);
    expect(commit.full).toBe(true);
    commit.append(message('zero again', { qos: 0 }), waiter('z2'));
    expect(log.at(-1)).toBe('z2 dropped');
    await vi.advanceTimersByTimeAsync(150);
    expect(payloads(1)).toEqual(['one']);
    for (let i = 1; i < 150; i++) {
      store.appends[i]?.answer({ kind: 'full' });
      await vi.advanceTimersByTimeAsync(101);
    }
    expect(log.at(-1)).toBe('a refused STORE_FULL');
    expect(commit.counters).toMatchObject({ refused: 1, droppedQos0: 2, messages: 0 });
  });

  it('keeps messages that a cursor counts, of QoS 0 too, and commits the cursor with them', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('one', { qos: 0 }), waiter('a'), undefined, { name: 'replay', value: '1' });
    commit.append(message('two', { qos: 0 }), waiter('b'), undefined, { name: 'replay', value: '2' });
    await turn();
    expect(store.appends[0]?.request.cursors).toEqual({ replay: '2' });
    store.appends[0]?.answer({ kind: 'full' });
    await turn();
    await vi.advanceTimersByTimeAsync(150);
    expect(payloads(1)).toEqual(['one', 'two']);
    store.appends[1]?.answer(committed(1));
    await turn();
    expect(log).toEqual(['health STORE_FULL', 'health ok', 'frame 1+2', 'a committed', 'b committed']);
    commit.append(message('three'), waiter('c'));
    await turn();
    expect(store.appends[2]?.request.cursors).toBeUndefined();
  });

  it('goes on when a full shard has room again', async () => {
    const { store, log, commit, waiter } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    store.appends[0]?.answer({ kind: 'full' });
    await turn();
    await vi.advanceTimersByTimeAsync(101);
    store.appends[1]?.answer(committed(1));
    await turn();
    expect(log).toEqual(['health STORE_FULL', 'health ok', 'frame 1+1', 'a committed']);
  });

  it('does not let a hanging append be overtaken: its late success counts, and only then the next one goes', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    await vi.advanceTimersByTimeAsync(10_001);
    expect(log).toEqual(['health STORE_TIMEOUT', 'a refused STORE_TIMEOUT']);
    commit.append(message('1 again', { dup: true }), waiter('b'));
    await turn();
    expect(store.appends).toHaveLength(1);
    store.appends[0]?.answer(committed(1));
    await turn();
    expect(log.slice(2)).toEqual(['health ok', 'frame 1+1']);
    expect(payloads(1)).toEqual(['1 again']);
  });

  it('does not pile up appends in a long hang, however many devices come back', async () => {
    const { store, log, commit, waiter } = setUp();
    for (let round = 0; round < 6; round++) {
      commit.append(message(String(round)), waiter(`r${round}`));
      await vi.advanceTimersByTimeAsync(10_001);
    }
    expect(store.appends).toHaveLength(1);
    expect(log.filter((line) => line.includes('refused'))).toHaveLength(6);
  });

  it('leaves out a QoS 2 publish whose id the log knows, acknowledges it in its turn, and appends the rest', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('1', { qos: 2 }), waiter('a'), 11);
    commit.append(message('2', { qos: 2 }), waiter('b'), 12);
    commit.append(message('3'), waiter('c'));
    await turn();
    store.appends[0]?.answer({ kind: 'duplicate', indexes: [1] });
    await turn();
    expect(payloads(1)).toEqual(['1', '3']);
    expect(store.appends[1]?.request.qos2Add).toEqual([{ clientId: 'd1', packetId: 11 }]);
    store.appends[1]?.answer(committed(1));
    await turn();
    expect(log).toEqual(['frame 1+2', 'a committed', 'b duplicate', 'c committed']);
  });

  it('takes a QoS 2 publish once when its resend over a new connection reaches the same frame', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('1', { qos: 2 }), waiter('first'), 11);
    commit.append(message('1', { qos: 2, dup: true }), waiter('resend'), 11);
    await turn();
    expect(payloads(0)).toEqual(['1']);
    store.appends[0]?.answer(committed(1));
    await turn();
    expect(log.slice(1)).toEqual(['first committed', 'resend duplicate']);
  });

  it('takes the same id twice when the session began anew between', async () => {
    const { commit, waiter, payloads, store } = setUp();
    commit.append(message('old', { qos: 2 }), waiter('old'), 11);
    commit.clearQos2('d1', waiter('clear'));
    commit.append(message('new', { qos: 2 }), waiter('new'), 11);
    await turn();
    expect(payloads(0)).toEqual(['old', 'new']);
    expect(store.appends[0]?.request.qos2Clear).toEqual(['d1']);
  });

  it('begins a new epoch when offsets go backwards under the same log id', async () => {
    const { store, log, commit, waiter } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    store.appends[0]?.answer(committed(50));
    await turn();
    commit.append(message('2'), waiter('b'));
    await turn();
    store.appends[1]?.answer(committed(1));
    await turn();
    expect(log).toEqual(['frame 50+1', 'a committed', 'b committed']);
    expect(store.reopens[0]?.knownHead).toBe(50);
  });

  it('paces commits above the soft limit, and not below', async () => {
    const { store, commit, waiter } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    store.appends[0]?.answer(committed(1, 900_000));
    await turn();
    commit.append(message('2'), waiter('b'));
    await vi.advanceTimersByTimeAsync(300);
    expect(store.appends).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(300);
    expect(store.appends).toHaveLength(2);
    store.appends[1]?.answer(committed(2, 100));
    await turn();
    commit.append(message('3'), waiter('c'));
    await turn();
    expect(store.appends).toHaveLength(3);
  });

  it('tries to reopen with growing pauses while the store is away, and tells health once', async () => {
    const { store, log, commit, waiter } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    store.appends[0]?.fail(new SluiceError('STORE_UNAVAILABLE', 'connection refused'));
    await turn();
    for (let i = 0; i < 5; i++) {
      store.reopens[i]?.fail(new SluiceError('STORE_UNAVAILABLE', 'connection refused'));
      await vi.advanceTimersByTimeAsync(1_001);
    }
    expect(store.reopens.length).toBe(6);
    expect(log.filter((line) => line.startsWith('health'))).toEqual(['health STORE_UNAVAILABLE']);
  });

  it('refuses at once what would not fit into memory', async () => {
    const { log, commit, waiter } = setUp({ pendingMaxBytes: 100 });
    commit.append(message('x'.repeat(200)), waiter('a'));
    commit.append(message('y'), waiter('b'));
    expect(log).toEqual(['b refused STORE_UNAVAILABLE']);
  });

  it('makes frames of a bounded size of what gathered, and commits them one after the other', async () => {
    const { store, log, commit, waiter, payloads } = setUp({ frameMaxBytes: 200 });
    commit.append(message('0'), waiter('w0'));
    await turn();
    for (let i = 1; i <= 3; i++) commit.append(message('x'.repeat(120) + i), waiter(`w${i}`));
    for (let round = 0; round < 4; round++) {
      expect(store.appends).toHaveLength(round + 1);
      expect(payloads(round)).toHaveLength(1);
      store.appends[round]?.answer(committed(round + 1));
      await turn();
    }
    expect(log.filter((line) => line.startsWith('w'))).toEqual([0, 1, 2, 3].map((i) => `w${i} committed`));
    expect(commit.counters.messages).toBe(4);
  });

  it('keeps what certainly was not sent while the store is away, and commits it when it is back in time', async () => {
    const { store, log, commit, waiter, payloads } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    store.appends[0]?.fail(new SluiceError('STORE_OFFLINE', 'not connected'));
    await turn();
    store.reopens[0]?.fail(new SluiceError('STORE_OFFLINE', 'not connected'));
    await vi.advanceTimersByTimeAsync(2_000);
    commit.append(message('2'), waiter('b'));
    store.reopens[1]?.answer({ shard: 0, epochs: [{ logId: LOG_A, from: 1 }], head: 0 });
    await turn();
    expect(payloads(1)).toEqual(['1']);
    store.appends[1]?.answer(committed(1));
    await turn();
    store.appends[2]?.answer(committed(2));
    await turn();
    expect(log).toEqual(['health STORE_OFFLINE', 'health ok', 'frame 1+1', 'a committed', 'frame 2+1', 'b committed']);
  });

  it('is well again once the store is back, also where nothing waits any more', async () => {
    const { store, log, commit, waiter } = setUp();
    commit.append(message('1'), waiter('a'));
    await turn();
    store.appends[0]?.fail(new SluiceError('STORE_TIMEOUT', 'no answer'));
    await turn();
    store.reopens[0]?.answer({ shard: 0, epochs: [{ logId: LOG_A, from: 1 }], head: 0 });
    await turn();
    expect(log).toEqual(['health STORE_TIMEOUT', 'a refused STORE_TIMEOUT', 'health ok']);
  });

  it('settles once nothing waits', async () => {
    const { store, commit, waiter } = setUp();
    await commit.settled();
    commit.append(message('1'), waiter('a'));
    let settled = false;
    void commit.settled().then(() => (settled = true));
    await turn();
    expect(settled).toBe(false);
    store.appends[0]?.answer(committed(1));
    await turn();
    await turn();
    expect(settled).toBe(true);
  });

  it('refuses what waits, and what still comes, when closed', async () => {
    const { log, commit, waiter } = setUp();
    commit.append(message('1'), waiter('a'));
    commit.close();
    commit.append(message('2'), waiter('b'));
    expect(log).toEqual(['a refused STORE_UNAVAILABLE', 'b refused STORE_UNAVAILABLE']);
  });
});
