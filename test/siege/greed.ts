/** What clients that publish ten times as fast as they may cost those who keep to their rate. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Checker } from '../faults/checker.ts';
import { Fleet, type Latency } from '../faults/fleet.ts';
import { consumeEach } from '../support/kcat.ts';
import { uniqueTopic, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

export interface GreedOptions {
  readonly seconds: number;
  /** Of each kind. */
  readonly clients: number;
  /** limits.messagesPerSecond. */
  readonly allowedPerSecond: number;
  /** How many times as fast the greedy ones are. */
  readonly factor: number;
}

export interface GreedReport {
  readonly name: string;
  /** Of the well-behaved, alone. */
  readonly usual: Latency;
  readonly during: Latency;
  readonly greedy: { readonly attempted: number; readonly acknowledged: number; readonly seconds: number };
  /** Acknowledged by the client that had the least, of each kind, within the time that both were there. */
  readonly leastOfWellBehaved: number;
  readonly leastOfGreedy: number;
  readonly lost: number;
  readonly outOfOrder: number;
  readonly reconnects: number;
  readonly throttled: number;
}

/**
 * Seconds' worth of the rate that the greedy ones have unacknowledged. They are read no faster, their PINGREQ included, and these devices
 * wait 5 s for an answer before they give a connection up.
 */
const GREEDY_WINDOW_S = 3;

export async function runGreed(options: GreedOptions, kafka: SharedKafka): Promise<GreedReport> {
  const { clients, allowedPerSecond, factor, seconds } = options;
  const topic = uniqueTopic('greed');
  await kafka.createTopic(topic, 4);
  const sluice = await SluiceProcess.start({
    brokers: kafka.brokers,
    routes: [{ from: 'devices/{deviceId}/telemetry', to: topic }],
    settings: { 'limits.messagesPerSecond': allowedPerSecond },
  });
  const socket = { client: 'socket', urls: [sluice.url], devices: clients } as const;
  // Half of what they may: who keeps to a limit does not live at it.
  const well = await Fleet.start({ ...socket, prefix: 'well-', perSecond: (clients * allowedPerSecond) / 2 });
  let greedy: Fleet | undefined;
  try {
    await well.until(({ connected, acknowledged }) => connected === clients && acknowledged > clients);
    await well.latency();
    await sleep(seconds * 1_000);
    const usual = await well.latency();

    const rate = clients * allowedPerSecond * factor;
    const window = GREEDY_WINDOW_S * allowedPerSecond;
    const since = performance.now();
    greedy = await Fleet.start({ ...socket, prefix: 'greedy-', perSecond: rate, window });
    await greedy.until(({ connected }) => connected === clients);
    const before = await countsOf(well);
    await well.latency();
    await sleep(seconds * 1_000);
    const during = await well.latency();
    const after = await countsOf(well);
    const { attempted, acknowledged } = await greedy.counts();
    const greedySeconds = (performance.now() - since) / 1_000;
    const ofGreedy = await countsOf(greedy);

    // What they have in flight is taken in its turn.
    await Promise.all([well.finish(), greedy.finish()]);
    const status = await sluice.drained();
    const [wellCounts, greedyCounts] = [await well.counts(), await greedy.counts()];
    const checker = new Checker([...(await well.logs()), ...(await greedy.logs())]);
    await consumeEach([...kafka.brokers], topic, (record) => checker.add(record));
    const verdict = checker.verdict();
    return {
      name: `${clients} clients at ${factor} times their rate beside ${clients} that are well-behaved`,
      usual,
      during,
      greedy: { attempted, acknowledged, seconds: greedySeconds },
      leastOfWellBehaved: Math.min(...[...after].map(([device, count]) => count - (before.get(device) ?? 0))),
      leastOfGreedy: Math.min(...ofGreedy.values()),
      lost: verdict.lost.length,
      outOfOrder: verdict.reordered.length,
      reconnects: wellCounts.reconnects + greedyCounts.reconnects,
      throttled: status.counters['throttled'] ?? 0,
    };
  } finally {
    well.stop();
    greedy?.stop();
    await sluice.discard();
  }
}

/** Acknowledged, by device. */
async function countsOf(fleet: Fleet): Promise<Map<string, number>> {
  return new Map((await fleet.logs()).map(({ device, acknowledged }) => [device, acknowledged.length]));
}

/** What is wrong, times aside. */
export function greedProblems(report: GreedReport, { seconds, allowedPerSecond, clients }: GreedOptions): string[] {
  const wrong: string[] = [];
  const { lost, outOfOrder, throttled, greedy, leastOfWellBehaved, leastOfGreedy } = report;
  if (lost > 0) wrong.push(`${lost} acknowledged messages are not in Kafka`);
  if (outOfOrder > 0) wrong.push(`${outOfOrder} are out of order`);
  if (throttled === 0) wrong.push('nobody was slowed down');
  // Half of what it sends, or of what it may have, at least.
  if (leastOfWellBehaved < (seconds * allowedPerSecond) / 4)
    wrong.push(`a well-behaved client got ${leastOfWellBehaved} messages through in ${seconds} s`);
  if (leastOfGreedy < (seconds * allowedPerSecond) / 2)
    wrong.push(`a greedy client got ${leastOfGreedy} messages through in ${greedy.seconds.toFixed(1)} s`);
  // A second's worth at once, and then the rate.
  const most = clients * allowedPerSecond * (greedy.seconds + 2);
  if (greedy.acknowledged > most)
    wrong.push(`the greedy got ${greedy.acknowledged} through, they may ${most.toFixed(0)}`);
  return wrong;
}

export function greedSummary(report: GreedReport): string {
  const { name, usual, during, greedy, throttled } = report;
  return (
    `${name}: p99 ${usual.p99.toFixed(1)} -> ${during.p99.toFixed(1)} ms (p50 ${usual.p50.toFixed(1)} -> ${during.p50.toFixed(1)}); ` +
    `greedy ${greedy.acknowledged} of ${greedy.attempted} in ${greedy.seconds.toFixed(1)} s, ${throttled} slowed down; ` +
    `least ${report.leastOfWellBehaved} and ${report.leastOfGreedy}`
  );
}
