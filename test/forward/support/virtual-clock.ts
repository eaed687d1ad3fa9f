import type { Clock, TimerHandle } from '../../../src/forward/clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock that stands still until a test moves it: then it runs what is due, in order, with all that follows from it. */
export class VirtualClock implements Clock {
  #now = 1_000;
  #order = 0;
  #timers = new Map<TimerHandle, Timer>();
  #immediates: (() => void)[] = [];

  readonly now = (): number => this.#now;

  setTimeout(run: () => void, delayMs: number): TimerHandle {
    const handle = {};
    this.#timers.set(handle, { at: this.#now + Math.max(0, delayMs), order: this.#order++, run });
    return handle;
  }

  clearTimeout(handle: TimerHandle | undefined): void {
    if (handle !== undefined) this.#timers.delete(handle);
  }

  setImmediate(run: () => void): void {
    this.#immediates.push(run);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.setTimeout(resolve, ms));
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2;) {
      const immediates = this.#immediates;
      this.#immediates = [];
      for (const run of immediates) run();
      await new Promise<void>((resolve) => void setImmediate(resolve));
      quiet = this.#immediates.length > 0 || immediates.length > 0 ? 0 : quiet + 1;
    }
  }

  /** Moves time on by `ms`. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.settle();
    while (this.#step(end)) await this.settle();
    this.#now = end;
  }

  /** Moves time on until `done` holds. @throws where it does not within `maxMs` */
  async until(done: () => boolean, maxMs = 600_000): Promise<void> {
    const end = this.#now + maxMs;
    await this.settle();
    while (!done()) {
      if (!this.#step(end)) throw new Error(`it did not come to pass within ${maxMs} ms of virtual time`);
      await this.settle();
    }
  }

  /** The process of a test ends: what it had armed never happens. */
  forget(): void {
    this.#timers.clear();
    this.#immediates = [];
  }

  /** Runs the next timer that is due by `end`. */
  #step(end: number): boolean {
    let next: [TimerHandle, Timer] | undefined;
    for (const entry of this.#timers) {
      const [, timer] = entry;
      if (next === undefined || timer.at < next[1].at || (timer.at === next[1].at && timer.order < next[1].order)) {
        next = entry;
      }
    }
    if (next === undefined || next[1].at > end) return false;
    this.#timers.delete(next[0]);
    this.#now = Math.max(this.#now, next[1].at);
    next[1].run();
    return true;
  }
}
