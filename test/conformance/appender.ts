/**
 * A process that appends to all shards as fast as it can until it is killed, and says on stdout what was committed: per line
 * `<shard> <base> <count> <seed>`. The frame is made of its seed, so that a checker knows what must be there.
 *
 *     node --import ./test/conformance/typescript.mjs test/conformance/appender.ts '{"store":"level","path":…}'
 */
import { writeSync } from 'node:fs';
import { isSluiceError } from '../../src/errors.ts';
import { createStore, type BufferOptions } from '../../src/buffer/open.ts';
import type { ShardState } from '../../src/buffer/store.ts';
import { frameOf } from './frames.ts';

const options = JSON.parse(process.argv[2]!) as BufferOptions;
const store = createStore(options);
const { shards } = await store.open({ appended: () => {}, availability: () => {} });
writeSync(1, 'open\n');

async function appendTo(opened: ShardState): Promise<void> {
  const { shard } = opened;
  let state = opened;
  let knownHead = opened.head;
  let sequence = 0;
  for (;;) {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const count = 1 + (seed % 5);
    try {
      const outcome = await store.append({
        shard,
        logId: state.epochs.at(-1)!.logId,
        sequence: ++sequence,
        frame: frameOf(seed),
        count,
        qos2Add: [],
        qos2Remove: [],
        qos2Clear: [],
      });
      if (outcome.kind !== 'committed') throw new Error(outcome.kind);
      // In one write each, and synchronously: a line that is out is out, whatever comes next.
      writeSync(1, `${shard} ${outcome.base} ${count} ${seed}\n`);
      knownHead = outcome.base + count - 1;
    } catch (error) {
      if (!isSluiceError(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
      const again = await store.reopen(shard, knownHead).catch(() => undefined);
      if (again === undefined) continue;
      if (again.missing !== undefined) writeSync(1, `missing ${shard} ${again.missing.from} ${again.missing.to}\n`);
      state = again;
      knownHead = again.head;
    }
  }
}

await Promise.all(shards.map(appendTo));
