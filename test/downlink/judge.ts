/** What devices have received, held to what was sent: each command at least once, first occurrences in order. */

export interface Verdict {
  readonly missing: number;
  /** Devices whose first occurrences are not in order. */
  readonly disordered: readonly string[];
  /** Commands for another device, or that nobody sent. */
  readonly strange: number;
  readonly duplicates: number;
}

/** `received` are numbers from 0 by device, in the order in which they came; `sent` how many each was sent. */
export function judge(received: ReadonlyMap<string, readonly number[]>, sent: ReadonlyMap<string, number>): Verdict {
  let [missing, strange, duplicates] = [0, 0, 0];
  const disordered: string[] = [];
  for (const [device, count] of sent) {
    const numbers = received.get(device) ?? [];
    const seen = new Set<number>();
    let inOrder = true;
    for (const number of numbers) {
      if (!(number >= 0 && number < count)) strange++;
      else if (seen.has(number)) duplicates++;
      else {
        if (number !== seen.size) inOrder = false;
        seen.add(number);
      }
    }
    missing += count - seen.size;
    // A gap makes what follows look out of order: it is reported as missing.
    if (!inOrder && seen.size === count) disordered.push(device);
  }
  for (const device of received.keys()) if (!sent.has(device)) strange++;
  return { missing, disordered, strange, duplicates };
}
