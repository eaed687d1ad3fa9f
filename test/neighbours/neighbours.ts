/** What neighbours that do harm cost the others: their acknowledgements, and the memory of sluice. See hostile.mjs. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Fleet, type Latency } from '../faults/fleet.ts';
import { startRedis, uniqueTopic, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

export interface Hostile {
  readonly kind: 'subscriber' | 'publisher';
  readonly count: number;
  readonly clean?: boolean;
  /** Of each publisher; without it, as fast as its socket takes it. */
  readonly perSecond?: number;
}

export interface NeighboursOptions {
  readonly store: 'level' | 'redis';
  readonly hostile: Readonly<Record<string, Hostile>>;
  /** Of each measuring window. */
  readonly seconds: number;
  /** Of devices that are well, over all. */
  readonly perSecond: number;
  /** What subscribers do not read, per second, in messages of 100 KB. */
  readonly announcementsPerSecond: number;
}

/** One window. */
export interface Window {
  /** Of devices that have nothing to do with the others. */
  readonly devices: Latency;
  /** Of those whose messages the subscribers get. */
  readonly announcers: Latency;
  readonly rssMaxBytes: number;
}

export interface NeighbourReport {
  readonly name: string;
  /** Right before it. */
  readonly usual: Window;
  /** With the same neighbours, but they read. */
  readonly reading: Window;
  readonly hostile: Window;
  /** Hostile ones that sluice has closed, and whose sockets it did not read at the end. */
  readonly closed: number;
  readonly blocked: number;
  /** Devices that lost their connection meanwhile. */
  readonly reconnects: number;
}

export interface Watcher {
  step(text: string): void;
}

const ANNOUNCEMENT_BYTES = 100_000;
/** How much longer a window is where subscribers that do not read are still connected. */
const HOLD_MAX_MS = 40_000;
const SAMPLE_MS = 100;
const SETTLE_MS = 1_000;

class HostileProcess {
  readonly #child = fork(fileURLToPath(new URL('./hostile.mjs', import.meta.url)), { execArgv: [] });

  constructor(hostile: Hostile, port: number, deaf: boolean) {
    const topic = hostile.kind === 'subscriber' ? 'news' : 'noise';
    this.#child.send({ do: 'start', options: { clean: true, bytes: 100, ...hostile, port, deaf, topic } });
  }

  async counts(): Promise<{ connected: number; closed: number; sent: number; blocked: number }> {
    const answered = once(this.#child, 'message');
    this.#child.send({ do: 'counts' });
    const [counts] = (await answered) as [{ connected: number; closed: number; sent: number; blocked: number }];
    return counts;
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** Each kind of neighbour against a sluice of its own: what one leaves behind (a session and its queue) is not to fall on the next. */
export async function runNeighbours(
  options: NeighboursOptions,
  kafka: SharedKafka,
  watcher: Watcher,
): Promise<NeighbourReport[]> {
  const reports: NeighbourReport[] = [];
  for (const [name, hostile] of Object.entries(options.hostile)) {
    watcher.step(`${options.store}: ${name}`);
    reports.push(await runBeside(name, hostile, options, kafka));
  }
  return reports;
}

async function runBeside(
  name: string,
  hostile: Hostile,
  options: NeighboursOptions,
  kafka: SharedKafka,
): Promise<NeighbourReport> {
  const redis = options.store === 'redis' ? await startRedis() : undefined;
  const topic = uniqueTopic('neighbours');
  await kafka.createTopic(topic, 4);
  const sluice = await SluiceProcess.start({
    brokers: kafka.brokers,
    ...(redis === undefined ? {} : { redisUrl: redis.url }),
    routes: [
      { name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: topic },
      { name: 'noise', from: 'noise', to: topic },
    ],
  });
  const socket = { client: 'socket', urls: [sluice.url] } as const;
  const devices = await Fleet.start({ ...socket, devices: 20, perSecond: options.perSecond });
  const announcers = await Fleet.start({
    ...socket,
    devices: 2,
    prefix: 'announcer-',
    topic: 'news',
    perSecond: options.announcementsPerSecond,
    bytes: ANNOUNCEMENT_BYTES,
  });
  /** Goes on for as long as `held`, up to a bound. */
  const measure = async (held: () => boolean | Promise<boolean> = () => false): Promise<Window> => {
    let rssMaxBytes = 0;
    await Promise.all([devices.latency(), announcers.latency()]);
    const end = performance.now() + options.seconds * 1_000;
    while (performance.now() < end || (performance.now() < end + HOLD_MAX_MS && (await held()))) {
      rssMaxBytes = Math.max(rssMaxBytes, sluice.rss());
      await sleep(SAMPLE_MS);
    }
    return { devices: await devices.latency(), announcers: await announcers.latency(), rssMaxBytes };
  };
  const among = async (deaf: boolean) => {
    const neighbours = new HostileProcess(hostile, sluice.port, deaf);
    try {
      const connected = async (): Promise<boolean> =>
        deaf && hostile.kind === 'subscriber' && (await neighbours.counts()).closed < hostile.count;
      return { window: await measure(connected), counts: await neighbours.counts() };
    } finally {
      await neighbours.stop();
      // Their connections end, and what they left is done.
      await sleep(SETTLE_MS);
    }
  };
  try {
    await devices.until(({ acknowledged }) => acknowledged > options.perSecond);
    await announcers.until(({ acknowledged }) => acknowledged > options.announcementsPerSecond);
    const before = (await devices.counts()).reconnects;
    const usual = await measure();
    const reading = await among(false);
    const deaf = await among(true);
    return {
      name,
      usual,
      reading: reading.window,
      hostile: deaf.window,
      closed: deaf.counts.closed,
      blocked: deaf.counts.blocked,
      reconnects: (await devices.counts()).reconnects - before,
    };
  } finally {
    devices.stop();
    announcers.stop();
    await sluice.discard();
    await redis?.stop();
  }
}

export interface Bounds {
  /** p99 of the others is at most max(factor x the usual, the usual + addedMs). */
  readonly factor: number;
  readonly addedMs: number;
  readonly rssGrowthMaxBytes: number;
}

/** What is wrong; nothing: it held. */
export function problems(report: NeighbourReport, { factor, addedMs, rssGrowthMaxBytes }: Bounds): string[] {
  const wrong: string[] = [];
  for (const who of ['devices', 'announcers'] as const) {
    const usual = report.usual[who].p99;
    const { p99, count } = report.hostile[who];
    if (p99 > Math.max(factor * usual, usual + addedMs))
      wrong.push(`${who}: p99 ${p99.toFixed(1)} ms, usually ${usual.toFixed(1)} ms`);
    if (count < report.usual[who].count / 2)
      wrong.push(`${who}: ${count} acknowledged, usually ${report.usual[who].count}`);
  }
  const grown = report.hostile.rssMaxBytes - report.usual.rssMaxBytes;
  if (grown > rssGrowthMaxBytes) wrong.push(`RSS grew by ${(grown / 2 ** 20).toFixed(0)} MB`);
  if (report.reconnects > 0) wrong.push(`${report.reconnects} devices lost their connection`);
  return wrong;
}

/** One line, for a person. */
export function summary(report: NeighbourReport): string {
  const p99 = (who: 'devices' | 'announcers'): string =>
    `${who} p99 ${report.usual[who].p99.toFixed(1)} -> ${report.reading[who].p99.toFixed(1)} (they read) -> ` +
    `${report.hostile[who].p99.toFixed(1)} ms (they do not)`;
  const grown = (report.hostile.rssMaxBytes - report.usual.rssMaxBytes) / 2 ** 20;
  const announced = report.hostile.announcers.count;
  return (
    `${report.name}: ${p99('devices')}; ${p99('announcers')}; RSS +${grown.toFixed(0)} MB; ` +
    `${report.closed} closed, ${report.blocked} held up, ${announced} announcements`
  );
}
