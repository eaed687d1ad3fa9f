/** The last minutes, as they are drawn: rates from what counters have grown by, quantiles from what histograms have. */
import type { Overview } from '../src/http/overview.ts';
import type { DurationCounts, Durations } from '../src/status.ts';

const SAMPLES_MAX = 600;
/** Rates are over this time: short enough for an outage to show at once, long enough not to flicker. */
const RATE_WINDOW_MS = 2_000;
const LATENCY_WINDOW_MS = 10_000;
const GROWTH_WINDOW_MS = 30_000;

interface Sample {
  readonly at: number;
  readonly startedAt: string;
  readonly accepted: number;
  readonly settled: number;
  readonly packets: number;
  readonly forwarded: number;
  readonly bufferedBytes: number;
  readonly durations: Durations;
}

/** What is drawn, a column each, in the order of time (seconds since the epoch). */
export interface Series {
  readonly times: number[];
  readonly taken: (number | null)[];
  readonly delivered: (number | null)[];
  readonly buffered: (number | null)[];
  readonly acknowledge: (number | null)[];
  readonly delivery: (number | null)[];
}

export interface Now {
  /** Per second; undefined: not known yet. */
  readonly taken: number | undefined;
  readonly delivered: number | undefined;
  readonly packets: number | undefined;
  readonly forwarded: number | undefined;
  /** Bytes per second that the buffer grows by. */
  readonly growth: number | undefined;
  /** Seconds; undefined: nothing happened. */
  readonly acknowledge: { readonly p50: number | undefined; readonly p99: number | undefined };
  readonly append: number | undefined;
  readonly kafka: number | undefined;
  readonly delivery: { readonly p50: number | undefined; readonly p99: number | undefined };
}

export class History {
  #samples: Sample[] = [];
  readonly series: Series = { times: [], taken: [], delivered: [], buffered: [], acknowledge: [], delivery: [] };

  add({ at, status, durations }: Overview): Now {
    const { ledger, counters, totals, buffer, startedAt } = status;
    const discarded = Object.values(ledger.discarded).reduce((sum, each) => sum + each, 0);
    const sample: Sample = {
      at,
      startedAt,
      accepted: ledger.accepted,
      settled: ledger.delivered + ledger.deadLettered + ledger.expired + discarded,
      packets: totals.packets['publish'] ?? 0,
      forwarded: counters['forwarded'] ?? 0,
      bufferedBytes: buffer.bytes,
      durations,
    };
    // Counters of another process begin anew.
    if (this.#samples.at(-1)?.startedAt !== startedAt) this.#samples = [];
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    const now = this.#now(sample);
    this.#draw(at, now, ledger.buffered);
    return now;
  }

  /** Nothing is known of this moment. */
  gap(at: number): void {
    this.#samples = [];
    const { times, ...lines } = this.series;
    times.push(at / 1_000);
    for (const line of Object.values(lines)) line.push(null);
    this.#trim();
  }

  #now(sample: Sample): Now {
    const before = this.#before(sample, RATE_WINDOW_MS);
    const perSecond = (name: 'accepted' | 'settled' | 'packets' | 'forwarded'): number | undefined =>
      before === undefined ? undefined : Math.max(0, ((sample[name] - before[name]) * 1_000) / (sample.at - before.at));
    const earlier = this.#before(sample, LATENCY_WINDOW_MS)?.durations;
    const lately = (name: keyof Durations, share: number): number | undefined =>
      earlier === undefined ? undefined : quantile(sample.durations[name], earlier[name], share);
    const longAgo = this.#before(sample, GROWTH_WINDOW_MS);
    return {
      taken: perSecond('accepted'),
      delivered: perSecond('settled'),
      packets: perSecond('packets'),
      forwarded: perSecond('forwarded'),
      growth:
        longAgo === undefined
          ? undefined
          : ((sample.bufferedBytes - longAgo.bufferedBytes) * 1_000) / (sample.at - longAgo.at),
      acknowledge: { p50: lately('acknowledge', 0.5), p99: lately('acknowledge', 0.99) },
      append: lately('append', 0.99),
      kafka: lately('kafkaRequest', 0.99),
      delivery: { p50: lately('delivery', 0.5), p99: lately('delivery', 0.99) },
    };
  }

  /** The newest sample that is at least that old, else the oldest one. */
  #before(sample: Sample, ageMs: number): Sample | undefined {
    const found = this.#samples.findLast(({ at }) => sample.at - at >= ageMs) ?? this.#samples[0];
    return found === undefined || found.at >= sample.at ? undefined : found;
  }

  #draw(at: number, now: Now, buffered: number): void {
    const { series } = this;
    series.times.push(at / 1_000);
    series.taken.push(now.taken ?? null);
    series.delivered.push(now.delivered ?? null);
    series.buffered.push(buffered);
    series.acknowledge.push(now.acknowledge.p99 ?? null);
    series.delivery.push(now.delivery.p99 ?? null);
    this.#trim();
  }

  #trim(): void {
    if (this.series.times.length <= SAMPLES_MAX) return;
    for (const line of Object.values(this.series) as unknown[][]) line.shift();
  }
}

/** Of what has come since `before`, as if the durations within a bucket were spread evenly. */
export function quantile(now: DurationCounts, before: DurationCounts, share: number): number | undefined {
  const grown = now.counts.map((count, index) => count - (before.counts[index] ?? 0));
  const total = grown.reduce((sum, count) => sum + count, 0);
  if (total <= 0) return undefined;
  let left = total * share;
  for (const [index, count] of grown.entries()) {
    const lower = index === 0 ? 0 : (now.boundsSeconds[index - 1] ?? 0);
    const upper = now.boundsSeconds[index] ?? lower;
    if (count > 0 && left <= count) return lower + (upper - lower) * (left / count);
    left -= count;
  }
  return now.boundsSeconds.at(-1);
}
