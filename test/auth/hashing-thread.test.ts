import { readdirSync, readFileSync } from 'node:fs';
import { scryptSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { HashingThread } from '../../src/auth/hashing-thread.ts';

const salt = Buffer.from('salt');
const options = { N: 2 ** 12, r: 8, p: 1 };
const ask = (thread: HashingThread, word: string, more = {}): Promise<Buffer> =>
  thread.derive(Buffer.from(word), salt, 32, { ...options, ...more });

/** Niceness of each thread of this process, from the kernel (proc(5): field 19 of stat). */
function nicenesses(): number[] {
  return readdirSync('/proc/self/task').flatMap((task) => {
    try {
      const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
      return [Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])];
    } catch {
      // It has just ended.
      return [];
    }
  });
}

describe('a hashing thread', () => {
  it('makes the hashes that scrypt makes, in order, and yields to the main thread', async () => {
    const thread = new HashingThread();
    const words = ['one', 'two', 'three'];
    const hashes = await Promise.all(words.map((word) => ask(thread, word)));
    expect(hashes).toEqual(words.map((word) => scryptSync(word, salt, 32, options)));
    if (process.platform === 'linux') {
      const [main = 0] = nicenesses();
      expect(Math.max(...nicenesses())).toBe(Math.min(19, main + 5));
      expect(nicenesses().filter((niceness) => niceness !== main)).toHaveLength(1);
    }
    thread.close();
  });

  it('that breaks off fails what it was asked, and begins anew', async () => {
    const thread = new HashingThread();
    // scrypt refuses a cost that is no power of two, by throwing.
    const [broken, behind] = [ask(thread, 'x', { N: 3 }), ask(thread, 'y')];
    await expect(broken).rejects.toThrow('ended');
    await expect(behind).rejects.toThrow('ended');
    expect(await ask(thread, 'z')).toEqual(scryptSync('z', salt, 32, options));
    thread.close();
  });

  it('that is closed still does what it was asked', async () => {
    const thread = new HashingThread();
    const hashes = [ask(thread, 'a'), ask(thread, 'b')];
    thread.close();
    expect((await Promise.all(hashes)).map((hash) => hash.length)).toEqual([32, 32]);
  });
});
