/** Where sessions, retained messages and wills are kept: opens the session store that goes with the buffer's store. */
import { MemoryLevel } from 'memory-level';
import { errorText, SluiceError } from '../errors.ts';
import type { SessionChange } from './connection.ts';
import { LocalEmitter } from './local-emitter.ts';
import { GuardedStore } from './sessions/guarded.ts';
import { LevelStore, LevelWillTexts, openLevel, type Database } from './sessions/level.ts';
import { openRedis } from './sessions/redis.ts';
import { LocalWillStore, type WillStore } from './sessions/will-store.ts';

export type SessionOptions =
  | { readonly store: 'memory' }
  /** `directory`: of its own, beside the buffer's. */
  | { readonly store: 'level'; readonly directory: string }
  | { readonly store: 'redis'; readonly url: string; readonly namespace: string };

export type SessionFault = (where: string, error: unknown) => void;

export interface Sessions {
  readonly store: GuardedStore;
  readonly emitter: LocalEmitter;
  readonly wills: WillStore;
  /** There is certainly no other process with these sessions. */
  readonly alone: () => boolean;
  /** Other processes are to know. */
  readonly announce?: (change: SessionChange) => void;
  /** What other processes announce. */
  readonly onChange?: (listener: (change: SessionChange) => void) => void;
  /** After the broker, which closes the emitter. */
  close(): Promise<void>;
}

/** How long the session store may take to answer; what waits for it is given up then. */
const TIMEOUT_MS = 5_000;

/** @throws SluiceError STORE_UNAVAILABLE, STORE_LOCKED */
export async function openSessions(options: SessionOptions, fault: SessionFault): Promise<Sessions> {
  switch (options.store) {
    case 'memory':
      // What it has besides, nothing here uses.
      return sessionsIn(new MemoryLevel() as unknown as Database, fault);
    case 'level':
      return openLevelSessions(options.directory, fault);
    case 'redis':
      return openRedisSessions(options.url, options.namespace, fault);
  }
}

async function openLevelSessions(directory: string, fault: SessionFault): Promise<Sessions> {
  const db = await openLevel(directory).catch((error: unknown) => {
    throw levelError(directory, error);
  });
  return sessionsIn(db, fault);
}

function sessionsIn(db: Database, fault: SessionFault): Sessions {
  const store = new GuardedStore(new LevelStore(db), TIMEOUT_MS, fault);
  return {
    store,
    emitter: new LocalEmitter((error) => fault('delivery', error)),
    wills: new LocalWillStore(new LevelWillTexts(db)),
    alone: () => true,
    close: () => store.close(),
  };
}

function levelError(directory: string, error: unknown): SluiceError {
  const cause = (error as { cause?: { code?: string } }).cause;
  const locked = cause?.code === 'LEVEL_LOCKED';
  const what = locked ? 'another process holds the sessions' : 'the sessions cannot be opened';
  return new SluiceError(
    locked ? 'STORE_LOCKED' : 'STORE_UNAVAILABLE',
    `${what} in ${directory}: ${errorText(cause ?? error)}`,
    { cause: error },
  );
}

async function openRedisSessions(url: string, namespace: string, fault: SessionFault): Promise<Sessions> {
  const parts = await openRedis({ url, namespace, timeoutMs: TIMEOUT_MS, fault }).catch((error: unknown) => {
    throw new SluiceError('STORE_UNAVAILABLE', `the sessions in Redis cannot be reached: ${errorText(error)}`, {
      cause: error,
    });
  });
  const { emitter } = parts;
  return {
    store: new GuardedStore(parts.store, TIMEOUT_MS, fault),
    emitter,
    wills: parts.wills,
    alone: () => emitter.alone,
    announce: (change) => emitter.announce(change),
    onChange: (listener) => (emitter.onChange = (change) => listener(change as SessionChange)),
    close: async () => parts.disconnect(),
  };
}
