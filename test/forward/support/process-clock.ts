import type { Clock, TimerHandle } from '../../../src/forward/clock.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** The time of one process of a simulation: it may die, after which nothing of it happens, or stand still for a while. */
export class ProcessClock implements Clock {
  readonly #world: VirtualClock;
  #dead = false;
  #frozen: (() => void)[] | undefined;

  constructor(world: VirtualClock) {
    this.#world = world;
  }

  get dead(): boolean {
    return this.#dead;
  }

  get frozen(): boolean {
    return this.#frozen !== undefined;
  }

  readonly now = (): number => this.#world.now();

  setTimeout(run: () => void, delayMs: number): TimerHandle {
    return this.#world.setTimeout(() => this.#run(run), delayMs);
  }

  clearTimeout(handle: TimerHandle | undefined): void {
    this.#world.clearTimeout(handle);
  }

  setImmediate(run: () => void): void {
    this.#world.setImmediate(() => this.#run(run));
  }

  /** kill -9 */
  kill(): void {
    this.#dead = true;
    this.#frozen = undefined;
  }

  /** SIGSTOP: the world's time goes on. */
  freeze(): void {
    this.#frozen ??= [];
  }

  /** SIGCONT: what was due happens now, all at once. */
  thaw(): void {
    const due = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const run of due) this.#world.setImmediate(() => this.#run(run));
  }

  #run(run: () => void): void {
    if (this.#dead) return;
    if (this.#frozen === undefined) run();
    else this.#frozen.push(run);
  }
}
