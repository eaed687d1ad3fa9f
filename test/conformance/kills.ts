/** kill -9 in the middle, judged from outside: what a process said it had committed is there, whole and in its place. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { BufferOptions } from '../../src/buffer/open.ts';
import { createStore } from '../../src/buffer/open.ts';
import { frameOf, seedOf } from './frames.ts';

const loader = fileURLToPath(new URL('./typescript.mjs', import.meta.url));
const program = fileURLToPath(new URL('./appender.ts', import.meta.url));

export interface Committed {
  readonly shard: number;
  readonly base: number;
  readonly count: number;
  readonly seed: number;
}

export class Appender {
  readonly committed: Committed[] = [];
  readonly missing: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #errors: string[] = [];
  opened = false;

  constructor(options: BufferOptions) {
    this.#child = spawn(process.execPath, ['--import', loader, program, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines = createInterface({ input: this.#child.stdout! });
    lines.on('line', (line) => this.#line(line));
    this.#child.stderr!.on('data', (text: Buffer) => this.#errors.push(text.toString()));
    this.#ended = new Promise((resolve) => lines.on('close', resolve));
  }

  #line(line: string): void {
    if (line === 'open') this.opened = true;
    else if (line.startsWith('missing')) this.missing.push(line);
    else {
      const [shard, base, count, seed] = line.split(' ').map(Number);
      // The last line may be cut short.
      if (seed !== undefined) this.committed.push({ shard: shard!, base: base!, count: count!, seed });
    }
  }

  /** Waits until it has committed that many more. */
  async more(count: number): Promise<void> {
    const target = this.committed.length + count;
    await expect
      .poll(
        () => {
          if (this.#child.exitCode !== null) throw new Error(`the appender ended: ${this.#errors.join('')}`);
          return this.committed.length;
        },
        { timeout: 20_000, interval: 5 },
      )
      .toBeGreaterThanOrEqual(target);
  }

  /** SIGKILL; resolves when all that it said was read. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** Every frame of the log is whole, in its place, without a gap up to the head; each committed one is among them. */
export async function expectAllThere(options: BufferOptions, committed: readonly Committed[]): Promise<void> {
  const store = createStore(options);
  try {
    const { shards } = await store.open({ appended: () => {}, availability: () => {} });
    const found = new Map<string, number>();
    for (const { shard, head } of shards) {
      let next = 1;
      while (next <= head) {
        const frames = await store.read(shard, next, 4 * 1024 * 1024);
        if (frames.length === 0) throw new Error(`shard ${shard} ends before offset ${next} of ${head}`);
        for (const { base, bytes } of frames) {
          const seed = seedOf(bytes);
          if (base !== next) throw new Error(`shard ${shard}: a frame at ${base} where ${next} is due`);
          if (!bytes.equals(frameOf(seed))) throw new Error(`shard ${shard}: the frame at ${base} is corrupt`);
          found.set(`${shard}:${base}`, seed);
          next = base + 1 + (seed % 5);
        }
      }
      expect(next).toBe(head + 1);
    }
    const lost = committed.filter(({ shard, base, seed }) => found.get(`${shard}:${base}`) !== seed);
    expect(lost).toEqual([]);
  } finally {
    await store.close();
  }
}
