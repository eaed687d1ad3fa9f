import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mainFile } from '../support/sluice.ts';

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'sluice-passwd-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

/** The password goes in over standard input. */
async function passwd(args: string[], input = ''): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, [mainFile, 'passwd', ...args], { cwd: directory });
  let out = '';
  child.stdout.on('data', (part: Buffer) => (out += part.toString()));
  child.stderr.on('data', (part: Buffer) => (out += part.toString()));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  await once(child, 'close');
  return { code: child.exitCode, out };
}

describe('sluice passwd', () => {
  it('adds, verifies, changes and removes users, and shows no password', async () => {
    const file = join(directory, 'users.txt');
    const add = (word: string) => passwd(['add', 'anna', '-f', file, '--cost', '10'], `${word}\n`);
    expect((await add('hunter2')).code).toBe(0);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await passwd(['verify', 'anna', '-f', file], 'hunter2\n')).code).toBe(0);
    expect((await passwd(['verify', 'anna', '-f', file], 'wrong\n')).code).toBe(6);
    expect((await passwd(['verify', 'bert', '-f', file], 'hunter2\n')).code).toBe(6);
    const changed = await add('hunter3');
    expect((await passwd(['verify', 'anna', '-f', file], 'hunter2\n')).code).toBe(6);
    expect((await passwd(['verify', 'anna', '-f', file], 'hunter3\n')).code).toBe(0);
    expect(`${changed.out}${await readFile(file, 'utf8')}`).not.toContain('hunter');
    expect((await passwd(['remove', 'anna', '-f', file])).code).toBe(0);
    expect((await passwd(['remove', 'anna', '-f', file])).code).toBe(6);
    expect(await readFile(file, 'utf8')).toBe('');
  }, 60_000);

  it('refuses what would break the file, and leaves it as it was', async () => {
    const file = join(directory, 'bad.txt');
    await writeFile(file, 'nonsense\n');
    expect((await passwd(['add', 'anna', '-f', file, '--cost', '10'], 'x\n')).code).toBe(2);
    expect(await readFile(file, 'utf8')).toBe('nonsense\n');
    await expect(stat(`${file}.new`)).rejects.toThrow();
    expect((await passwd(['add', 'an:na', '-f', join(directory, 'n.txt')], 'x\n')).code).toBe(2);
    expect((await passwd(['add', 'anna', '-f', join(directory, 'n.txt')], '')).code).toBe(2);
  }, 60_000);
});
