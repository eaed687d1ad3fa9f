import { describe, expect, it } from 'vitest';
import type { SluiceConfig } from '../src/config/config.ts';
import { loadConfig } from '../src/config/load.ts';
import { reload, type Reloadable } from '../src/reload.ts';

const configOf = (input: Parameters<typeof loadConfig>[0] & object): SluiceConfig =>
  loadConfig({ env: {}, ...input }).config;
const current = configOf({ input: { buffer: { shards: 4 }, log: { level: 'info' } } });

/** Writes down what is asked of it. */
function part(paths: string[], calls: string[], fails = false): Reloadable {
  return {
    paths,
    prepare: (next, changed) => {
      calls.push(`prepare ${paths.join()} ${changed} ${next.log.level}`);
      if (fails) throw new Error('cannot be had');
      return {
        apply: () => calls.push(`apply ${paths.join()}`),
        discard: () => calls.push(`discard ${paths.join()}`),
      };
    },
  };
}

describe('a reload', () => {
  it('prepares every part, changed or not, before it applies any', async () => {
    const calls: string[] = [];
    const next = configOf({ input: { buffer: { shards: 4 }, log: { level: 'debug' } } });
    const { report } = await reload(current, next, [part(['log.level'], calls), part(['auth'], calls)]);
    expect(calls).toEqual([
      'prepare log.level true debug',
      'prepare auth false debug',
      'apply log.level',
      'apply auth',
    ]);
    expect(report).toEqual({ applied: ['log.level'], needRestart: [] });
  });

  it('changes nothing when one part cannot have it, and gives up what was prepared', async () => {
    const calls: string[] = [];
    const next = configOf({ input: { buffer: { shards: 4 }, log: { level: 'debug' } } });
    const parts = [part(['log.level'], calls), part(['auth'], calls, true), part(['limits'], calls)];
    await expect(reload(current, next, parts)).rejects.toThrow('cannot be had');
    expect(calls).toEqual(['prepare log.level true debug', 'prepare auth false debug', 'discard log.level']);
  });

  it('says what waits for a restart, and keeps saying it', async () => {
    const next = configOf({
      input: { buffer: { shards: 8 }, log: { level: 'debug' }, routes: [{ from: 'a', to: 'b' }] },
    });
    const parts = [part(['log.level', 'limits'], [])];
    const { config, report } = await reload(current, next, parts);
    expect(report).toEqual({ applied: ['log.level'], needRestart: ['buffer.shards', 'routes'] });
    expect(config.buffer.shards).toBe(4);
    expect(config.routes).toEqual(current.routes);
    expect(config.log.level).toBe('debug');
    const again = await reload(config, next, parts);
    expect(again.report).toEqual({ applied: [], needRestart: ['buffer.shards', 'routes'] });
  });

  it('takes what is below a path, not what only begins like it', async () => {
    const next = configOf({ input: { buffer: { shards: 8 } } });
    const { report } = await reload(current, next, [part(['buffer.shard'], [])]);
    expect(report.needRestart).toEqual(['buffer.shards']);
    expect((await reload(current, next, [part(['buffer'], [])])).report.applied).toEqual(['buffer.shards']);
  });

  it('takes a part that appears or goes whole', async () => {
    const next = configOf({ input: { buffer: { shards: 4 }, listeners: { ws: false } } });
    const { config, report } = await reload(current, next, [part(['listeners'], [])]);
    expect(report.applied).toEqual(['listeners.ws']);
    expect(config.listeners.ws).toBeUndefined();
  });
});
