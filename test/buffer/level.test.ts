import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LevelStore } from '../../src/buffer/level/store.ts';
import { storeConformance } from '../conformance/store.ts';

storeConformance(
  'level',
  async () => {
    const root = await mkdtemp(path.join(tmpdir(), 'sluice-level-'));
    const data = path.join(root, 'data');
    let copies = 0;
    const opened: LevelStore[] = [];
    const closeAll = async (): Promise<void> => {
      await Promise.all(opened.splice(0).map((store) => store.close()));
    };
    return {
      makeStore: ({ shards = 2, maxBytes = 1e9 } = {}) => {
        const store = new LevelStore({ path: data, shards, maxBytes });
        opened.push(store);
        return store;
      },
      crash: closeAll,
      copy: async () => {
        const copy = path.join(root, `copy-${copies++}`);
        await cp(data, copy, { recursive: true });
        return async () => {
          await rm(data, { recursive: true });
          await cp(copy, data, { recursive: true });
        };
      },
      dispose: async () => {
        await closeAll();
        await rm(root, { recursive: true, force: true });
      },
    };
  },
  { shared: false },
);
