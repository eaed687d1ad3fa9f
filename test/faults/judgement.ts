/** Judges a run: reads Kafka with kcat, the ledger, what sluice logged and how it ended, and says all that is wrong. */
import { consumeEach, type Consumed } from '../support/kcat.ts';
import type { SluiceStatus } from '../../src/status.ts';
import { Checker, summary, type Verdict } from './checker.ts';
import type { Fault } from './faults.ts';
import type { FleetCounts } from './fleet.ts';
import { WINDOW_BYTES, type World } from './world.ts';

export interface Judgement {
  readonly verdict: Verdict;
  readonly summary: string;
  readonly ledger: SluiceStatus['ledger'] | undefined;
  readonly fleet: FleetCounts;
  /** How many repeats there may be at most, by what the schedule did and by what was found in the log. */
  readonly repeatsMax: number;
  /** Offsets that sluice said were gone. */
  readonly offsetsReported: number;
  readonly events: Readonly<Record<string, number>>;
  readonly complaints: readonly string[];
}

/** Partitions of the second topic are numbered from here, so that one judge can hold both apart. */
const PEACEFUL_FROM = 1_000;
/** A frame holds at least that much per message of the campaign. */
const MESSAGE_MIN_BYTES = 120;
const CHUNK_RECORDS = 1_000;
const NAMED = 5;

export async function judge(world: World, faults: readonly Fault[]): Promise<Judgement> {
  const logs = await world.fleet.logs();
  const fleet = await world.counts();
  const checker = new Checker(logs, {
    mayBeLost: world.mayBeLost,
    partitionsMayChange: faults.some((fault) => fault.do === 'partitions added'),
  });
  const { directBrokers } = world.kafka;
  for (const record of world.kept.records) checker.add(record);
  await consumeEach(directBrokers, world.topic, (record) => checker.add(record));
  if (world.options.peacefulTopic === true) {
    const apart = (record: Consumed): Consumed => ({ ...record, partition: record.partition + PEACEFUL_FROM });
    await consumeEach(directBrokers, world.peacefulTopic, (record) => checker.add(apart(record)));
  }
  for (const record of world.kept.deadLetters) checker.addDeadLetter(record);
  await consumeEach(directBrokers, world.deadLetterTopic, (record) => checker.addDeadLetter(record));
  const verdict = checker.verdict();
  const status = await world.status();
  const log = world.sluices.flatMap((sluice) => sluice.log());
  const offsetsReported = reportedOffsets(log);
  const events: Record<string, number> = {};
  for (const { event } of log) events[event] = (events[event] ?? 0) + 1;
  const repeatsMax = boundOfRepeats(world, faults, events);
  const complaints = [
    ...some('lost', verdict.lost),
    ...some('phantom', verdict.phantom),
    ...some('out of order', verdict.reordered),
    ...some('corrupt', verdict.corrupt),
    ...some('sluice-ids used twice', verdict.idsUsedTwice),
    ...some('QoS 2 messages committed twice', verdict.twice),
    ...some('repeated publishes without mqtt-dup', verdict.unmarked),
    ...world.sluices.flatMap((sluice) => some('ends of sluice that nobody meant', sluice.endedByItself)),
    ...ledgerComplaints(world, faults, verdict, status),
    ...fleetComplaints(fleet, faults),
    ...(verdict.repeats > repeatsMax ? [`${verdict.repeats} repeats, where at most ${repeatsMax} may be`] : []),
    ...(verdict.resends > fleet.resent
      ? [`${verdict.resends} messages committed again, where devices resent only ${fleet.resent}`]
      : []),
    ...(verdict.lostWithStore > offsetsReported
      ? [`${verdict.lostWithStore} messages gone with the store, but only ${offsetsReported} offsets reported`]
      : []),
    ...(events['shard.stopped'] === undefined ? [] : ['a shard was not forwarded any more (shard.stopped)']),
  ];
  return {
    verdict,
    summary: summary(verdict),
    ledger: status?.ledger,
    fleet,
    repeatsMax,
    offsetsReported,
    events,
    complaints,
  };
}

function some(what: string, found: readonly string[]): string[] {
  if (found.length === 0) return [];
  const more = found.length > NAMED ? `, and ${found.length - NAMED} more` : '';
  return [`${found.length} ${what}: ${found.slice(0, NAMED).join('; ')}${more}`];
}

/** The ledger balances, and says the same as Kafka. */
function ledgerComplaints(
  world: World,
  faults: readonly Fault[],
  verdict: Verdict,
  status: SluiceStatus | undefined,
): string[] {
  if (status === undefined) return ['sluice does not tell its status'];
  const { ledger } = status;
  const complaints: string[] = [];
  if (ledger.imbalance !== 0) complaints.push(`the ledger is off by ${ledger.imbalance}`);
  if (ledger.buffered !== 0) complaints.push(`${ledger.buffered} messages are still buffered`);
  // A store that was replaced has forgotten what it had counted.
  if (faults.some((fault) => fault.do === 'redis replaced')) return complaints;
  const dead = Object.values(verdict.deadLettered).reduce((sum, count) => sum + count, 0);
  const discarded = Object.values(ledger.discarded).reduce((sum, count) => sum + count, 0);
  if (discarded + ledger.expired > 0) complaints.push(`messages were discarded: ${JSON.stringify(ledger)}`);
  if (ledger.delivered + ledger.deadLettered !== verdict.ids) {
    complaints.push(
      `the ledger counts ${ledger.delivered + ledger.deadLettered} settled, Kafka has ${verdict.ids} ids`,
    );
  }
  if (ledger.deadLettered < dead) complaints.push(`${dead} dead letters, the ledger counts ${ledger.deadLettered}`);
  if (world.options.fleet.oversized === undefined && dead > 0) {
    complaints.push(`dead letters where there is no reason for any: ${JSON.stringify(verdict.deadLettered)}`);
  }
  return complaints;
}

const SILENT: readonly Fault['do'][] = ['freeze', 'hang', 'delay'];

function fleetComplaints(fleet: FleetCounts, faults: readonly Fault[]): string[] {
  const complaints: string[] = [];
  if (!fleet.done) complaints.push('devices still wait for acknowledgements');
  if (fleet.acksOutOfOrder > 0) complaints.push(`${fleet.acksOutOfOrder} acknowledgements out of order`);
  if (Object.keys(fleet.refused).length > 0) {
    complaints.push(`messages refused for good: ${JSON.stringify(fleet.refused)}`);
  }
  // Nobody may be taken for dead who was not cut off.
  const silenced = faults.some(
    (fault) =>
      SILENT.includes(fault.do) &&
      (!('link' in fault) || fault.link === 'devices') &&
      !('who' in fault && fault.who !== 'sluice'),
  );
  const KEEP_ALIVE_TIMEOUT = '0x8d';
  const deaths = fleet.disconnects[KEEP_ALIVE_TIMEOUT] ?? 0;
  if (deaths > 0 && !silenced) complaints.push(`${deaths} devices were taken for dead`);
  return complaints;
}

/**
 * A crash, a lost lease and a store that cannot settle repeat what was delivered and not released, at most the window;
 * Kafka's own failures at most a chunk per lane.
 */
function boundOfRepeats(world: World, faults: readonly Fault[], events: Readonly<Record<string, number>>): number {
  const crashes = world.sluices.reduce((sum, { starts }) => sum + starts - 1, 0) + (events['lease.lost'] ?? 0);
  const replaced = faults.filter((fault) => fault.do === 'redis replaced').length;
  const lanes = world.partitions * (world.options.peacefulTopic === true ? 2 : 1);
  const window = Math.ceil(WINDOW_BYTES / MESSAGE_MIN_BYTES);
  // A store that goes back to an earlier state has forgotten what was released since.
  if (replaced > 0) return Infinity;
  return crashes * window + faults.length * lanes * CHUNK_RECORDS;
}

/** Offsets that sluice reported as gone, each once. */
function reportedOffsets(log: readonly { readonly [field: string]: unknown }[]): number {
  const ranges = new Map<number, [number, number][]>();
  for (const line of log) {
    if (line['event'] !== 'log.replaced' && line['event'] !== 'offsets.missing') continue;
    const { shard, from, to } = line as unknown as { shard: number; from: number; to: number };
    ranges.set(shard, [...(ranges.get(shard) ?? []), [from, to]]);
  }
  let total = 0;
  for (const list of ranges.values()) {
    let end = 0;
    for (const [from, to] of list.sort(([a], [b]) => a - b)) {
      if (to <= end) continue;
      total += to - Math.max(from - 1, end);
      end = to;
    }
  }
  return total;
}
