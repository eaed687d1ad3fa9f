/** Work that is done a few at a time: hashing, questions to a back end. */

export interface WorkQueueOptions {
  /** At the same time. */
  readonly concurrency: number;
  readonly waitingMax: number;
  /** Of `waitingMax`, at most so many for one address: one that floods leaves room for others. */
  readonly waitingMaxPerKey: number;
  /** What has waited longer is given up: who asked has gone, or is about to. */
  readonly waitMaxMs: number;
}

interface Waiting {
  readonly key: string;
  readonly since: number;
  readonly start: () => void;
  readonly giveUp: () => void;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting: Waiting[] = [];
  readonly #perKey = new Map<string, number>();
  #running = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running;
  }

  /** undefined: there was no room, or it waited too long. Rejects as `work` does. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result | undefined> {
    const { concurrency, waitingMax, waitingMaxPerKey } = this.#options;
    if (this.#running >= concurrency) {
      const ofKey = this.#perKey.get(key) ?? 0;
      if (this.#waiting.length >= waitingMax || ofKey >= waitingMaxPerKey) return undefined;
      this.#perKey.set(key, ofKey + 1);
      const itsTurn = await new Promise<boolean>((resolve) => {
        this.#waiting.push({
          key,
          since: performance.now(),
          start: () => resolve(true),
          giveUp: () => resolve(false),
        });
      });
      if (!itsTurn) return undefined;
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      this.#handOn();
    }
  }

  /** The place that is free goes to the one who waits longest, of those who still wait. */
  #handOn(): void {
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      const left = (this.#perKey.get(next.key) ?? 1) - 1;
      if (left === 0) this.#perKey.delete(next.key);
      else this.#perKey.set(next.key, left);
      if (performance.now() - next.since <= this.#options.waitMaxMs) {
        next.start();
        return;
      }
      next.giveUp();
    }
    this.#running--;
  }
}
