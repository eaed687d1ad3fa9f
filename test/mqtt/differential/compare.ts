import { isDeepStrictEqual } from 'node:util';
import type { Deviation } from './deviations.ts';
import type { Delivery, Seen } from './player.ts';

export interface Comparison {
  readonly equal: boolean;
  /** Both sides in full, where they differ. */
  readonly difference: string;
  /** Deviations without which the two would have differed, or would differ more. */
  readonly needed: ReadonlySet<Deviation>;
}

/** Compares what the two brokers said, each allowed deviation taken out of both. */
export function compare(ours: readonly Seen[], theirs: readonly Seen[], deviations: readonly Deviation[]): Comparison {
  const needed = new Set<Deviation>();
  let [left, right] = [ours, theirs];
  for (const deviation of deviations) {
    if (isDeepStrictEqual(left, right)) break;
    const [before, after] = [[left, right], [left, right].map((side) => side.map((seen) => apply(deviation, seen)))];
    if (isDeepStrictEqual(before, after)) continue;
    needed.add(deviation);
    [left, right] = after as [Seen[], Seen[]];
  }
  const equal = isDeepStrictEqual(left, right);
  return { equal, difference: equal ? '' : describe(left, right), needed };
}

function apply(deviation: Deviation, seen: Seen): Seen {
  const { answer, messages } = deviation;
  return {
    client: seen.client,
    answers: answer === undefined ? seen.answers : seen.answers.map(answer).filter((one) => one !== undefined),
    messages:
      messages === undefined
        ? seen.messages
        : Object.fromEntries(
            Object.entries(seen.messages)
              .map(([topic, list]): [string, readonly Delivery[]] => [topic, messages(list)])
              .filter(([, list]) => list.length > 0),
          ),
  };
}

function describe(ours: readonly Seen[], theirs: readonly Seen[]): string {
  const lines: string[] = [];
  for (let index = 0; index < Math.max(ours.length, theirs.length); index++) {
    const [left, right] = [ours[index], theirs[index]];
    if (isDeepStrictEqual(left, right)) continue;
    lines.push(`connection ${index}, of client ${left?.client ?? right?.client}`);
    if (!isDeepStrictEqual(left?.answers, right?.answers))
      lines.push(`  answers, sluice     ${text(left?.answers)}`, `  answers, mosquitto  ${text(right?.answers)}`);
    const topics = new Set([...Object.keys(left?.messages ?? {}), ...Object.keys(right?.messages ?? {})]);
    for (const topic of topics) {
      const [here, there] = [left?.messages[topic], right?.messages[topic]];
      if (!isDeepStrictEqual(here, there))
        lines.push(`  ${topic}, sluice     ${text(here)}`, `  ${topic}, mosquitto  ${text(there)}`);
    }
  }
  return lines.join('\n');
}

const text = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
