/**
 * What becomes of a message for which somebody else answers, as a downlink does for a Kafka record: whether it is with its
 * subscribers, or may be forgotten by none of those who hold it for them.
 */

/**
 * - taken: every session that is to have it holds it durably, every other subscriber has acknowledged it (QoS 0: it was written)
 *   or is gone, and there is at least one who has it;
 * - none: nobody has it;
 * - unacknowledged: a connected subscriber has not acknowledged it in time. It may still;
 * - unavailable: the session store did not take it, or not certainly.
 */
export type Taken = 'taken' | 'none' | 'unacknowledged' | 'unavailable';

export class Receipt {
  /** Sessions that hold it, durably. */
  queued = 0;
  /** It is the retained message of its topic, durably. */
  retained = false;
  /** The session store did not take it. */
  failed = false;
  #had = 0;
  #awaited = 0;
  #answered: (() => void) | undefined;

  /** It goes to a subscriber that will acknowledge it. */
  await(): void {
    this.#awaited++;
  }

  /** That subscriber has it, or will not have it. */
  settle(taken: boolean): void {
    if (taken) this.#had++;
    if (--this.#awaited === 0) this.#answered?.();
  }

  /** QoS 0: written. */
  written(): void {
    this.#had++;
  }

  /** Once it was given to all. Resolves when the last one has answered, after this time at the latest. */
  async outcome(timeoutMs: number): Promise<Taken> {
    if (this.#awaited > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#answered = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#awaited > 0) return 'unacknowledged';
    return this.queued + this.#had > 0 || this.retained ? 'taken' : 'none';
  }
}
