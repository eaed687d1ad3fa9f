/** Bounds how long a promise may take. All have the same time, so one timer serves a queue of them. */
interface Waiting {
  readonly until: number;
  over: boolean;
  readonly expire: () => void;
}

export class Deadline {
  readonly #afterMs: number;
  readonly #error: () => Error;
  readonly #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(afterMs: number, error: () => Error) {
    this.#afterMs = afterMs;
    this.#error = error;
  }

  /** As `operation`, or the error when it takes too long; what it comes to after that is nobody's matter. */
  bound<T>(operation: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiting: Waiting = {
        until: performance.now() + this.#afterMs,
        over: false,
        expire: () => reject(this.#error()),
      };
      this.#waiting.push(waiting);
      if (this.#timer === undefined) this.#arm();
      operation.then(
        (value) => {
          waiting.over = true;
          resolve(value);
        },
        (error: unknown) => {
          waiting.over = true;
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
      if (this.#waiting.length > 1_024) this.#forgetOver();
    });
  }

  #arm(): void {
    const first = this.#waiting[0];
    if (first === undefined) return;
    this.#timer = setTimeout(this.#expire, Math.max(1, first.until - performance.now()));
    this.#timer.unref();
  }

  readonly #expire = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    let count = 0;
    for (const waiting of this.#waiting) {
      if (!waiting.over && waiting.until > now) break;
      count++;
      if (!waiting.over) waiting.expire();
    }
    this.#waiting.splice(0, count);
    this.#arm();
  };

  #forgetOver(): void {
    let count = 0;
    while (this.#waiting[count]?.over === true) count++;
    if (count > 0) this.#waiting.splice(0, count);
  }
}
