import { SluiceError } from '../errors.ts';
import { LevelStore } from './level/store.ts';
import { MemoryStore } from './memory/store.ts';
import { RedisStore } from './redis/store.ts';
import type { BufferStore } from './store.ts';

export interface BufferOptions {
  readonly store: 'level' | 'redis' | 'memory';
  /** Data directory, for `level`. */
  readonly path?: string | undefined;
  /** For `redis`. */
  readonly url?: string | undefined;
  readonly namespace?: string | undefined;
  readonly shards: number;
  /** Hard limit over all shards. */
  readonly maxBytes: number;
  /** Open a Redis that is known to lose acknowledged messages in a crash. Default false. */
  readonly allowWeakDurability?: boolean | undefined;
  /** A command to Redis that takes longer fails, and its connection with it. Default 5000. */
  readonly commandTimeoutMs?: number | undefined;
}

/** The configured backend, not open yet. @throws SluiceError CONFIG_INVALID where what the backend needs is missing */
export function createStore(options: BufferOptions): BufferStore {
  const { store, path, url, shards, maxBytes, ...rest } = options;
  switch (store) {
    case 'level':
      if (path === undefined)
        throw new SluiceError('CONFIG_INVALID', 'buffer.path is missing: store: level keeps its data there');
      return new LevelStore({ path, shards, maxBytes });
    case 'redis':
      if (url === undefined)
        throw new SluiceError('CONFIG_INVALID', 'buffer.url is missing: store: redis needs the server it connects to');
      return new RedisStore({
        url,
        shards,
        maxBytes,
        ...(rest.namespace === undefined ? {} : { namespace: rest.namespace }),
        ...(rest.allowWeakDurability === undefined ? {} : { allowWeakDurability: rest.allowWeakDurability }),
        ...(rest.commandTimeoutMs === undefined ? {} : { commandTimeoutMs: rest.commandTimeoutMs }),
      });
    case 'memory':
      return new MemoryStore({ shards, maxBytes });
  }
}
