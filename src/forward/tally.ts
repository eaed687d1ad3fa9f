import type { Outcomes } from '../buffer/store.ts';
import type { Rule } from './mapping.ts';
import { Outcome } from './open-messages.ts';

/** Outcomes of messages, as one settlement adds them to the ledger. */
export class Tally {
  delivered = 0;
  deadLettered = 0;
  expired = 0;
  readonly discarded = new Map<string, number>();

  /** One message, by the highest outcome of its records; 0: it had none, by this rule. */
  count(outcome: Outcome | 0, rule: Rule | undefined): void {
    if (outcome === Outcome.delivered) this.delivered++;
    else if (outcome === Outcome.deadLettered) this.deadLettered++;
    else if (rule === 'expired') this.expired++;
    else this.discard(rule ?? 'unrouted', 1);
  }

  discard(rule: string, messages: number): void {
    if (messages > 0) this.discarded.set(rule, (this.discarded.get(rule) ?? 0) + messages);
  }

  get outcomes(): Outcomes {
    const { delivered, deadLettered, expired } = this;
    return { delivered, deadLettered, expired, discarded: Object.fromEntries(this.discarded) };
  }
}
