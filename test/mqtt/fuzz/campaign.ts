/**
 * The fuzzer: cases of one seed, judged without a socket and played to a broker, until there are enough of them or one fails.
 * What fails is shrunk: first to one case, then within it.
 */
import { Canary } from './canary.ts';
import { drawCase, type FuzzCase } from './case.ts';
import { LiveBroker, play, sweep } from './live.ts';
import { faultOf } from './oracle.ts';
import { show, shrink } from './shrink.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly packets: number;
  readonly timeMs: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly progress?: (outcome: CampaignOutcome) => void;
}

export interface CampaignOutcome {
  readonly seed: number;
  cases: number;
  packets: number;
  roundTrips: number;
  slowestRoundTripMs: number;
  rssBytes: number;
  /** What failed, and the smallest case for it. */
  failure: string | undefined;
}

const CANARY_MAX_MS = 500;
/** Of the broker process; it starts with about 100 MB. */
const RSS_MAX_BYTES = 512 * 2 ** 20;
const AT_ONCE = 6;
/** Cases between two looks at the process, after which the sessions are swept. */
const ROUND = 150;
const SHRINK_TRIES = 300;
/** Each that ends the process costs a start of it. */
const SHRINK_KILLS_TRIES = 30;

export async function campaign(options: CampaignOptions): Promise<CampaignOutcome> {
  const { seed } = options;
  const outcome: CampaignOutcome = {
    seed,
    cases: 0,
    packets: 0,
    roundTrips: 0,
    slowestRoundTripMs: 0,
    rssBytes: 0,
    failure: undefined,
  };
  const broker = await LiveBroker.start(options.env);
  const canary = await Canary.start(broker);
  const until = performance.now() + options.timeMs;
  try {
    while (outcome.failure === undefined && outcome.packets < options.packets && performance.now() < until) {
      outcome.failure = await round(options, outcome, broker, canary);
      options.progress?.(outcome);
    }
  } finally {
    await broker.stop();
    await canary.stop();
  }
  return outcome;
}

async function round(
  options: CampaignOptions,
  outcome: CampaignOutcome,
  broker: LiveBroker,
  canary: Canary,
): Promise<string | undefined> {
  const first = outcome.cases;
  const faults: string[] = [];
  let next = first;
  const worker = async (): Promise<void> => {
    while (next < first + ROUND && faults.length === 0) {
      const index = next++;
      const drawn = drawCase(options.seed, index);
      outcome.packets += drawn.packets.length;
      const verdict = faultOf(drawn);
      const fault = verdict ?? (drawn.packets.length === 0 ? undefined : await play(drawn, broker));
      if (fault !== undefined && broker.ended === undefined) {
        const fails = async (smaller: FuzzCase): Promise<boolean> =>
          verdict === undefined ? (await play(smaller, broker)) !== undefined : faultOf(smaller) !== undefined;
        // What waits in vain takes seconds to see: few tries.
        const small = await shrink(drawn, fails, verdict === undefined ? 10 : SHRINK_TRIES);
        faults.push(`case ${index}: ${fault}\n${show(small)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  outcome.cases = next;
  outcome.roundTrips = canary.roundTrips;
  outcome.slowestRoundTripMs = Math.round(canary.slowestSoFarMs);
  const report = await broker.report();
  if (faults.length > 0) return [...faults, ...(report?.faults ?? [])].join('\n');
  if (report === undefined) return killer(options, first, next, broker.ended ?? '');
  outcome.rssBytes = report.rssBytes;
  if (report.faults.length > 0) return `cases ${first} to ${next}: faults of the broker: ${report.faults.join('; ')}`;
  if (!canary.alive) return `cases ${first} to ${next}: the canary lost its connection`;
  if (outcome.slowestRoundTripMs > CANARY_MAX_MS)
    return `cases ${first} to ${next}: a round trip of the canary took ${outcome.slowestRoundTripMs} ms`;
  if (report.rssBytes > RSS_MAX_BYTES) return `cases ${first} to ${next}: ${Math.round(report.rssBytes / 2 ** 20)} MB`;
  await sweep(broker);
  return undefined;
}

/** The process has ended: which case does it alone, and what of it. */
async function killer(options: CampaignOptions, first: number, end: number, why: string): Promise<string> {
  let broker = await LiveBroker.start(options.env);
  const kills = async (one: FuzzCase): Promise<boolean> => {
    await play(one, broker);
    if ((await broker.report()) !== undefined) return false;
    broker = await LiveBroker.start(options.env);
    return true;
  };
  try {
    for (let index = first; index < end; index++) {
      const drawn = drawCase(options.seed, index);
      if (drawn.packets.length === 0 || !(await kills(drawn))) continue;
      return `case ${index} ends the process (${why.trim()})\n${show(await shrink(drawn, kills, SHRINK_KILLS_TRIES))}`;
    }
    return `cases ${first} to ${end} end the process together (${why.trim()})`;
  } finally {
    await broker.stop();
  }
}
