import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BufferOptions } from '../../src/buffer/open.ts';
import { Appender, expectAllThere, type Committed } from '../conformance/kills.ts';
import { randomFrom } from '../support/random.ts';
import { startRedis, type Redis } from '../support/services.ts';

const KILLS = 5;
const random = randomFrom();

/** Kills it five times, each time after it has committed some more. */
async function killAgainAndAgain(options: BufferOptions): Promise<Committed[]> {
  const committed: Committed[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const appender = new Appender(options);
    await appender.more(20 + random.int(400));
    await appender.kill();
    committed.push(...appender.committed);
    expect(appender.missing).toEqual([]);
    await expectAllThere(options, committed);
  }
  return committed;
}

describe(`kill -9 in the middle of appends (SEED=${random.seed})`, () => {
  describe('on LevelDB', () => {
    let directory: string;
    beforeEach(async () => {
      directory = await mkdtemp(path.join(tmpdir(), 'sluice-kills-'));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    it('of the process: everything it said was committed is there', async () => {
      const committed = await killAgainAndAgain({ store: 'level', path: directory, shards: 3, maxBytes: 1e9 });
      expect(committed.length).toBeGreaterThan(100);
    }, 120_000);
  });

  describe('on Redis', () => {
    let redis: Redis;
    const options = (namespace: string): BufferOptions => ({
      store: 'redis',
      url: redis.url,
      namespace,
      shards: 3,
      maxBytes: 1e9,
      commandTimeoutMs: 1_000,
    });
    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis.stop());

    it('of the process: everything it said was committed is there', async () => {
      const committed = await killAgainAndAgain(options('process'));
      expect(committed.length).toBeGreaterThan(100);
    }, 120_000);

    it('of Redis: the process goes on by itself, and everything it said was committed is there', async () => {
      const appender = new Appender(options('server'));
      for (let kill = 0; kill < KILLS; kill++) {
        await appender.more(20 + random.int(400));
        await redis.kill();
        await redis.start();
      }
      await appender.more(20);
      await appender.kill();
      expect(appender.missing).toEqual([]);
      await expectAllThere(options('server'), appender.committed);
    }, 120_000);
  });
});
