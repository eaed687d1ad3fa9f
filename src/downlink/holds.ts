/** Records whose topic nobody has subscribed to, each until somebody has, or its time is over. */

/** How soon a subscriber is noticed. */
const LOOK_EVERY_MS = 100;
/** Topics of which it is known since when they have no subscriber. */
const ABSENT_MAX = 10_000;

interface Hold {
  readonly topic: string;
  readonly untilMs: number;
  readonly given: () => boolean;
  readonly done: () => void;
}

export class Holds {
  readonly #holdMs: number;
  readonly #hasSubscriber: (topic: string) => boolean;
  readonly #held = new Set<Hold>();
  /** On the monotonic clock. A device that stays away costs one hold, not one for each of its records. */
  readonly #absentSince = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(holdMs: number, hasSubscriber: (topic: string) => boolean) {
    this.#holdMs = holdMs;
    this.#hasSubscriber = hasSubscriber;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Somebody has what was sent to this topic. */
  present(topic: string): void {
    this.#absentSince.delete(topic);
  }

  /** Resolves to true once it is worth another attempt; false: the time is over. `given`: nobody asks any more. */
  async wait(topic: string, given: () => boolean): Promise<boolean> {
    const now = performance.now();
    let since = this.#absentSince.get(topic);
    if (since === undefined) {
      this.#absentSince.set(topic, (since = now));
      if (this.#absentSince.size > ABSENT_MAX) {
        const [oldest] = this.#absentSince.keys();
        this.#absentSince.delete(oldest as string);
      }
    }
    const untilMs = since + this.#holdMs;
    if (untilMs <= now) return false;
    await new Promise<void>((done) => {
      this.#held.add({ topic, untilMs, given, done });
      this.#timer ??= setInterval(() => this.look(), LOOK_EVERY_MS);
    });
    return performance.now() < untilMs || given();
  }

  look(): void {
    const now = performance.now();
    for (const hold of this.#held) {
      if (now < hold.untilMs && !hold.given() && !this.#hasSubscriber(hold.topic)) continue;
      this.#held.delete(hold);
      hold.done();
    }
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
