import { describe, expect, it } from 'vitest';
import { MemoryLogs } from '../../src/buffer/memory/logs.ts';
import { MemoryStore } from '../../src/buffer/memory/store.ts';
import { codeOf, storeConformance, TestProcess } from '../conformance/store.ts';

storeConformance('memory', async () => {
  const logs = new MemoryLogs();
  const opened: MemoryStore[] = [];
  const closeAll = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  };
  return {
    makeStore: ({ shards = 2, maxBytes = 1e9 } = {}) => {
      const store = new MemoryStore({ shards, maxBytes, logs });
      opened.push(store);
      return store;
    },
    crash: async () => {
      await closeAll();
      logs.restart();
      for (const { log } of logs.shards.values()) log.leaseUntil = -Infinity;
    },
    copy: async () => {
      const restore = logs.snapshot();
      return async () => restore();
    },
    copyLive: async () => {
      const restore = logs.snapshot();
      return async () => restore();
    },
    empty: async () => logs.empty(),
    dispose: closeAll,
  };
});

describe('the hooks of the memory store', () => {
  it('hold an append back; after a reopen it is refused when it comes', async () => {
    const store = new MemoryStore({ shards: 1, maxBytes: 1e6 });
    const process = await new TestProcess(store).open();
    let release!: () => void;
    store.hooks.beforeAppend = () => new Promise<void>((resolve) => (release = resolve));
    const late = codeOf(store.append(process.request({ frames: 'late' })));
    delete store.hooks.beforeAppend;
    await process.reopen();
    expect(await process.append('newer')).toBe(1);
    release();
    expect(await late).toBe('APPENDER_STALE');
    expect(await process.texts()).toEqual([[1, 'newer']]);
  });

  it('lose the answer to an append that was committed', async () => {
    const store = new MemoryStore({ shards: 1, maxBytes: 1e6 });
    const process = await new TestProcess(store).open();
    store.hooks.afterAppend = () => Promise.reject(new Error('cut'));
    await expect(store.append(process.request({ frames: 'a' }))).rejects.toThrow('cut');
    delete store.hooks.afterAppend;
    expect(await process.reopen(0, 0)).toMatchObject({ head: 1, missing: undefined });
    expect(await process.texts()).toEqual([[1, 'a']]);
  });
});
