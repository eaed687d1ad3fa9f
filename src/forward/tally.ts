import type { Outcomes } from '../buffer/store.ts';

/** Outcomes of messages, as one settlement adds them to the ledger. */
export class Tally {
  delivered = 0;
  deadLettered = 0;
  expired = 0;
  readonly discarded = new Map<string, number>();

  discard(rule: string, messages: number): void {
    if (messages > 0) this.discarded.set(rule, (this.discarded.get(rule) ?? 0) + messages);
  }

  get outcomes(): Outcomes {
    const { delivered, deadLettered, expired } = this;
    return { delivered, deadLettered, expired, discarded: Object.fromEntries(this.discarded) };
  }
}
