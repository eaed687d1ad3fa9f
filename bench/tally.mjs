/**
 * Accounts for every message by publisher and sequence. Each publisher numbers its messages from 0 and has one key, hence
 * one partition: they must arrive as 0, 1, 2, …; anything else is counted by what it is.
 */
export class Tally {
  records = 0;
  duplicates = 0;
  /** Sequences that were passed over; each may still come, and is then taken back as reordered. */
  missing = 0;
  reordered = 0;

  /** Per publisher: the sequence expected next. */
  #next = [];
  /** Per publisher: sequences below #next that have not come. */
  #holes = [];

  record(publisher, sequence) {
    this.records += 1;
    const expected = this.#next[publisher] ?? 0;
    if (sequence === expected) {
      this.#next[publisher] = expected + 1;
    } else if (sequence > expected) {
      const holes = (this.#holes[publisher] ??= new Set());
      for (let hole = expected; hole < sequence; hole += 1) holes.add(hole);
      this.missing += sequence - expected;
      this.#next[publisher] = sequence + 1;
    } else if (this.#holes[publisher]?.delete(sequence)) {
      this.missing -= 1;
      this.reordered += 1;
    } else {
      this.duplicates += 1;
    }
  }

  /** Different messages per publisher. */
  distinct() {
    return Array.from(this.#next, (next, publisher) => (next ?? 0) - (this.#holes[publisher]?.size ?? 0));
  }

  totals() {
    const distinctBy = this.distinct();
    return {
      records: this.records,
      distinct: distinctBy.reduce((total, count) => total + count, 0),
      distinctBy,
      duplicates: this.duplicates,
      missing: this.missing,
      reordered: this.reordered,
    };
  }
}
