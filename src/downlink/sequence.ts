/**
 * Work that shares a name is done one after another, in the order in which it came; other work goes on beside it. A record has two
 * names, its key and its MQTT topic: either may be what a device is.
 */
export class Sequence {
  readonly #last = new Map<string, Promise<void>>();

  get size(): number {
    return this.#last.size;
  }

  /** Starts the work when all that came before under one of its names is over. It must not reject. */
  run(names: readonly string[], work: () => Promise<void>): void {
    const before: Promise<void>[] = [];
    for (const name of names) {
      const last = this.#last.get(name);
      if (last !== undefined && !before.includes(last)) before.push(last);
    }
    const done = this.#after(before, work);
    for (const name of names) this.#last.set(name, done);
    void done.then(() => {
      for (const name of names) if (this.#last.get(name) === done) this.#last.delete(name);
    });
  }

  async #after(before: readonly Promise<void>[], work: () => Promise<void>): Promise<void> {
    for (const each of before) await each;
    await work();
  }
}
