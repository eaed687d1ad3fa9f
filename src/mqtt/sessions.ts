/** Where sessions, retained messages and wills are kept: opens the session store that goes with the buffer's store. */
import { createRequire } from 'node:module';
import { errorText, SluiceError } from '../errors.ts';
import { LocalEmitter } from './local-emitter.ts';
import { GuardedPersistence } from './sessions/guarded.ts';
import type { InnerPersistence } from './sessions/inner.ts';
import { LevelSessions, LevelWillTexts, openLevel } from './sessions/level.ts';
import { openRedis } from './sessions/redis.ts';
import { LocalWillStore, MemoryWillTexts, type WillStore } from './sessions/will-store.ts';

export type SessionOptions =
  | { readonly store: 'memory' }
  /** `directory`: of its own, beside the buffer's. */
  | { readonly store: 'level'; readonly directory: string }
  | { readonly store: 'redis'; readonly url: string; readonly namespace: string };

export type SessionFault = (where: string, error: unknown) => void;

export interface Sessions {
  readonly persistence: GuardedPersistence;
  readonly emitter: LocalEmitter;
  readonly wills: WillStore;
  /** true: certainly nobody is to be told of a message on this topic. Absent where that is not known at once. */
  readonly silent?: (topic: string, qos: number) => boolean;
  /** After the broker, which closes the emitter. */
  close(): Promise<void>;
}

/** How long the session store may take to answer; what waits for it is given up then. */
const TIMEOUT_MS = 5_000;

/** @throws SluiceError STORE_UNAVAILABLE, STORE_LOCKED */
export async function openSessions(options: SessionOptions, fault: SessionFault): Promise<Sessions> {
  switch (options.store) {
    case 'memory':
      return openMemorySessions(fault);
    case 'level':
      return openLevelSessions(options.directory, fault);
    case 'redis':
      return openRedisSessions(options.url, options.namespace, fault);
  }
}

function openMemorySessions(fault: SessionFault): Sessions {
  // Brought along by aedes, so found from there.
  const here = createRequire(import.meta.url);
  const fromAedes = createRequire(here.resolve('aedes'));
  const MemoryPersistence = fromAedes('aedes-persistence/asyncPersistence.js') as new () => InnerPersistence;
  const persistence = new GuardedPersistence(new MemoryPersistence(), TIMEOUT_MS, fault);
  return {
    persistence,
    emitter: new LocalEmitter((error) => fault('delivery', error)),
    wills: new LocalWillStore(new MemoryWillTexts()),
    close: () => persistence.destroy(),
  };
}

async function openLevelSessions(directory: string, fault: SessionFault): Promise<Sessions> {
  const db = await openLevel(directory).catch((error: unknown) => {
    throw levelError(directory, error);
  });
  const level = new LevelSessions(db);
  const persistence = new GuardedPersistence(level, TIMEOUT_MS, fault);
  const emitter = new LocalEmitter((error) => fault('delivery', error));
  return {
    persistence,
    emitter,
    wills: new LocalWillStore(new LevelWillTexts(db)),
    silent: (topic, qos) => emitter.silent(topic) && (qos === 0 || level.matching(topic).length === 0),
    close: () => persistence.destroy(),
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
  const persistence = new GuardedPersistence(parts.persistence, TIMEOUT_MS, fault);
  return {
    persistence,
    emitter,
    wills: parts.wills,
    silent: (topic, qos) => emitter.alone && emitter.silent(topic) && (qos === 0 || parts.persistence.unmatched(topic)),
    close: async () => parts.disconnect(),
  };
}
