import { describe, expect, it } from 'vitest';
import { FakeSink } from '../support/fake-sink.ts';
import { expectBalanced, message, Rig } from './support/rig.ts';

const WINDOW_BYTES = 20_000;
const PAYLOAD_BYTES = 100;
const MESSAGES = 2_000;
const FRAME = 10;
/** A message takes at least its payload in the window, and the last frame read may go beyond. */
const REPEATS_MAX = WINDOW_BYTES / PAYLOAD_BYTES + FRAME;

const options = { windowMaxBytes: WINDOW_BYTES, readMaxBytes: 2_000, chunkMaxRecords: 10 };

/** Slow settlements: much is delivered and not released. */
async function started(sink: FakeSink): Promise<Rig> {
  const rig = await Rig.started(sink, { options });
  rig.store.hooks.beforeSettle = () => rig.clock.sleep(250);
  for (let at = 0; at < MESSAGES; at += FRAME) {
    const frame = Array.from({ length: FRAME }, (_, index) =>
      message(`client-${(at + index) % 7}`, 't', `${at + index}`.padEnd(PAYLOAD_BYTES)),
    );
    await rig.commit(0, frame);
  }
  return rig;
}

async function repeatsAfter(sink: FakeSink, first: Rig): Promise<number> {
  const next = await Rig.open(sink, { options, logs: first.logs, clock: first.clock });
  await next.clock.advance(11_000);
  await next.forwarder.start();
  await next.clock.until(() => next.settled, 120_000);
  expectBalanced(first.logs);
  const ids = sink.records('t').map(({ headers }) => String(headers.find(([name]) => name === 'id')?.[1]));
  expect(new Set(ids).size).toBe(MESSAGES);
  return ids.length - MESSAGES;
}

describe('records that are repeated', () => {
  it('after a crash, whenever it comes, are at most what the window held', async () => {
    let most = 0;
    for (let crashAfterMs = 0; crashAfterMs < 2_000; crashAfterMs += 90) {
      const sink = new FakeSink({ partitions: 3 });
      const first = await started(sink);
      await first.clock.advance(crashAfterMs);
      first.crash();
      const repeats = await repeatsAfter(sink, first);
      expect(repeats, `crash after ${crashAfterMs} ms`).toBeLessThanOrEqual(REPEATS_MAX);
      most = Math.max(most, repeats);
    }
    // The bound is not kept for want of anything to repeat.
    expect(most).toBeGreaterThan(FRAME);
  });

  it('after a lease that was lost to another owner are no more than that', async () => {
    const sink = new FakeSink({ partitions: 3 });
    const first = await started(sink);
    await first.clock.advance(700);
    // Another process took the shard while this one stood still.
    const { log } = first.logs.shards.get(0)!;
    log.leaseUntil = -Infinity;
    log.acquire('other', first.clock.now(), 1);
    await first.clock.until(() => first.events('leaseLost').length > 0, 30_000);
    const before = sink.records('t').length;
    await first.clock.advance(100);
    expect(sink.records('t').length).toBe(before);
    await first.clock.until(() => first.settled, 120_000);
    const ids = sink.records('t').map(({ headers }) => String(headers.find(([name]) => name === 'id')?.[1]));
    expect(new Set(ids).size).toBe(MESSAGES);
    expect(ids.length - MESSAGES).toBeLessThanOrEqual(REPEATS_MAX);
    expectBalanced(first.logs);
  });
});
