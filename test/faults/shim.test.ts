import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { randomFrom } from '../support/random.ts';
import { Shim, shimMissing } from './shim.ts';

const missing = await shimMissing();
if (missing !== undefined) console.log(`skipped: ${missing}`);

/** Runs a program of one line in the shim's world. */
function node(shim: Shim, directory: string, program: string): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', program], {
    cwd: directory,
    env: { ...process.env, ...shim.env },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

describe.skipIf(missing !== undefined)('the fault shim', () => {
  let directory: string;
  let shim: Shim;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-shim-test-'));
    shim = await Shim.prepare(directory);
  });
  afterEach(async () => {
    await shim.discard();
    await rm(directory, { recursive: true, force: true });
  });

  it('takes with the power what was written and not synced, and nothing else', async () => {
    node(
      shim,
      directory,
      `const fs = require('fs');
       const fd = fs.openSync('log', 'a');
       fs.writeSync(fd, 'kept'); fs.fdatasyncSync(fd); fs.writeSync(fd, 'x'.repeat(1000));
       fs.writeFileSync('never-synced', 'x'.repeat(1000));
       const whole = fs.openSync('whole', 'a'); fs.writeSync(whole, 'all of it'); fs.fsyncSync(whole);`,
    );
    const cuts = await shim.losePower({ ...randomFrom(1), int: () => 0 });
    expect(cuts.map(({ file, to }) => [file.slice(directory.length + 1), to]).sort()).toEqual([
      ['log', 4],
      ['never-synced', 0],
    ]);
    expect(await readFile(join(directory, 'log'), 'utf8')).toBe('kept');
    expect(await readFile(join(directory, 'whole'), 'utf8')).toBe('all of it');
  });

  it('may leave a part of what was not synced, as a disk does', async () => {
    node(
      shim,
      directory,
      `const fs = require('fs'); fs.writeFileSync('log', 'x'.repeat(1000));
       fs.fsyncSync(fs.openSync('other', 'a'));`,
    );
    await shim.losePower({ ...randomFrom(1), int: (below) => Math.min(below - 1, 500) });
    expect((await readFile(join(directory, 'log'))).length).toBe(500);
  });

  it('finds a store that tells before it has synced', async () => {
    await shim.syncDelay(60_000);
    const program = `const fs = require('fs'); const fd = fs.openSync('log', 'a');
      fs.writeSync(fd, 'promised'); console.log('acknowledged'); fs.fdatasyncSync(fd);`;
    const child = spawn(process.execPath, ['-e', program], {
      cwd: directory,
      env: { ...process.env, ...shim.env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    await shim.syncDelay(0);
    node(shim, directory, `const fs = require('fs'); fs.fsyncSync(fs.openSync('other', 'a'))`);
    await shim.losePower({ ...randomFrom(1), int: () => 0 });
    expect(await readFile(join(directory, 'log'), 'utf8')).toBe('');
  });

  it('moves the wall clock, also of a process that runs, and not the monotonic one', async () => {
    await shim.clock(3600);
    const program = 'console.log(Date.now() + " " + performance.now())';
    const [wall = '', monotonic = ''] = node(shim, directory, program).split(' ');
    expect(Number(wall)).toBeGreaterThan(Date.now() + 3_500_000);
    expect(Number(monotonic)).toBeLessThan(60_000);
    await shim.clock(-3600);
    expect(Number(node(shim, directory, program).split(' ')[0])).toBeLessThan(Date.now() - 3_500_000);
  });

  it.each(['EIO', 'ENOSPC'] as const)(
    'fails writes and syncs of the directory with %s, and no others',
    async (code) => {
      await shim.diskError(code);
      const attempt = (operation: string): string =>
        node(
          shim,
          directory,
          `const fs = require('fs'); try { ${operation}; console.log('done') } catch (error) { console.log(error.code) }`,
        );
      expect(attempt(`fs.writeFileSync('file', 'x')`)).toBe(code);
      expect(attempt(`fs.writeFileSync('/dev/null', 'x')`)).toBe('done');
      await shim.diskError(undefined);
      expect(attempt(`fs.writeFileSync('file', 'x')`)).toBe('done');
      await shim.diskError(code);
      expect(attempt(`fs.fsyncSync(fs.openSync('file', 'r'))`)).toBe(code);
    },
  );
});
