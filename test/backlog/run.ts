/** A backlog through a whole sluice: filled while nobody forwards, then the built command is started and drains it into a real Kafka. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { createStore, type BufferOptions } from '../../src/buffer/open.ts';
import type { LedgerStatus } from '../../src/status.ts';
import { consumeValues } from '../support/kcat.ts';
import { randomFrom } from '../support/random.ts';
import { startRedis, uniqueTopic, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { Audit, type AuditResult } from './audit.ts';
import { fill, type Backlog } from './fill.ts';

export interface BacklogOptions {
  readonly store: 'level' | 'redis';
  /** Dealt out evenly to the devices. */
  readonly messages: number;
  readonly devices: number;
  readonly payloadBytes: number;
  readonly partitions: number;
  /** A drain that takes longer has failed. */
  readonly timeoutMs: number;
  /** Of the sizes of the frames; drawn without it. */
  readonly seed?: number;
  /** Given to the node process of sluice, e.g. for a CPU profile. */
  readonly nodeOptions?: string;
}

export interface BacklogReport {
  readonly store: string;
  readonly seed: number;
  readonly messages: number;
  readonly frames: number;
  readonly storedBytes: number;
  readonly fillMs: number;
  /** From the start of the process to the moment it listens. */
  readonly startMs: number;
  /** From there until nothing is buffered. */
  readonly drainMs: number;
  readonly drainedPerSecond: number;
  /** The most that the process of sluice ever had resident, as the kernel counts it. */
  readonly rssMaxBytes: number;
  /** Publish to PUBACK of one device that goes on publishing during the drain. */
  readonly acknowledged: { readonly count: number; readonly p50Ms: number; readonly maxMs: number };
  readonly audit: AuditResult;
  readonly ledger: LedgerStatus;
}

export interface Watcher {
  step(text: string): void;
  update(text: string): void;
}

const SAMPLE_MS = 250;
const MAX_BYTES = 8 * 2 ** 30;

export async function runBacklog(
  options: BacklogOptions,
  kafka: SharedKafka,
  watcher: Watcher,
): Promise<BacklogReport> {
  const { devices, payloadBytes } = options;
  const random = randomFrom(options.seed);
  const backlog: Backlog = { devices, messages: Math.ceil(options.messages / devices), payloadBytes };
  const messages = backlog.messages * devices;
  const topic = uniqueTopic(`backlog-${options.store}`);
  const aside = `${topic}-aside`;
  await kafka.createTopic(topic, options.partitions);
  await kafka.createTopic(aside, 1);
  const redis = options.store === 'redis' ? await startRedis() : undefined;
  const sluice = await SluiceProcess.prepare({
    brokers: kafka.brokers,
    routes: [
      { name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: topic },
      { name: 'aside', from: 'aside', to: aside },
    ],
    settings: { 'buffer.maxBytes': MAX_BYTES, 'buffer.namespace': 'backlog' },
    ...(redis === undefined ? {} : { redisUrl: redis.url }),
    ...(options.nodeOptions === undefined ? {} : { env: { NODE_OPTIONS: options.nodeOptions } }),
  });
  const store: BufferOptions = {
    store: options.store,
    path: sluice.path,
    url: redis?.url,
    namespace: 'backlog',
    shards: 4,
    maxBytes: MAX_BYTES,
  };
  try {
    watcher.step(`filling ${options.store} with ${messages} messages (seed ${random.seed})`);
    const beganAt = performance.now();
    const filled = await fill(createStore(store), backlog, random, (committed) =>
      watcher.update(`${committed} of ${messages}`),
    );
    const fillMs = performance.now() - beganAt;

    watcher.step(`starting sluice and draining into ${topic}`);
    const startedAt = performance.now();
    await sluice.start();
    const startMs = performance.now() - startedAt;
    const drain = await drained(sluice, messages, options.timeoutMs, watcher);
    const drainMs = performance.now() - startedAt - startMs;
    const { ledger } = await sluice.status();
    const rssMaxBytes = peakRss(sluice.pid);

    watcher.step(`reading ${topic}`);
    const audit = new Audit(backlog);
    await consumeValues([...kafka.brokers], topic, (value) => audit.add(value));
    return {
      store: options.store,
      seed: random.seed,
      messages,
      frames: filled.frames,
      storedBytes: filled.bytes,
      fillMs: Math.round(fillMs),
      startMs: Math.round(startMs),
      drainMs: Math.round(drainMs),
      drainedPerSecond: Math.round(messages / (drainMs / 1000)),
      rssMaxBytes,
      acknowledged: drain,
      audit: audit.result(),
      ledger,
    };
  } finally {
    await sluice.discard();
    await redis?.stop();
  }
}

/** Publishes one message after the other meanwhile: a backlog is no reason to wait for an acknowledgement. */
async function drained(
  sluice: SluiceProcess,
  messages: number,
  timeoutMs: number,
  watcher: Watcher,
): Promise<BacklogReport['acknowledged']> {
  const client = await mqtt.connectAsync(sluice.url, { clientId: 'aside', reconnectPeriod: 0 });
  const latencies: number[] = [];
  const end = performance.now() + timeoutMs;
  try {
    for (;;) {
      const publishedAt = performance.now();
      await client.publishAsync('aside', String(latencies.length), { qos: 1 });
      latencies.push(performance.now() - publishedAt);
      const { ledger } = await sluice.status();
      watcher.update(`${ledger.delivered} of ${messages}, RSS ${Math.round(sluice.rss() / 2 ** 20)} MB`);
      if (ledger.delivered >= messages) break;
      if (performance.now() > end)
        throw new Error(
          `not drained within ${timeoutMs} ms: ${JSON.stringify(ledger)}\n${sluice.stderr.slice(-2_000)}`,
        );
      await sleep(SAMPLE_MS);
    }
  } finally {
    await client.endAsync(true);
  }
  await sluice.drained();
  const sorted = latencies.sort((a, b) => a - b);
  return { count: sorted.length, p50Ms: sorted[sorted.length >> 1]!, maxMs: sorted.at(-1)! };
}

function peakRss(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN) * 1024;
}

/** What is wrong with a run; nothing: it held. */
export function problems(report: BacklogReport, bounds: { rssMaxBytes: number; drainedPerSecond: number }): string[] {
  const { audit, ledger, acknowledged, messages } = report;
  const wrong: [boolean, string][] = [
    [audit.records !== messages, `${audit.records} records of ${messages} messages`],
    [audit.missing > 0, `${audit.missing} messages are missing`],
    [audit.misplaced > 0, `${audit.misplaced} records are repeated or out of order`],
    [audit.corrupt > 0, `${audit.corrupt} records are not what was buffered`],
    [ledger.imbalance !== 0 || ledger.buffered !== 0, `the ledger is ${JSON.stringify(ledger)}`],
    [ledger.delivered !== messages + acknowledged.count, `${ledger.delivered} delivered by the ledger`],
    [
      !(report.rssMaxBytes <= bounds.rssMaxBytes),
      `RSS reached ${megabytes(report.rssMaxBytes)} of ${megabytes(bounds.rssMaxBytes)} MB`,
    ],
    [
      report.drainedPerSecond < bounds.drainedPerSecond,
      `drained at ${report.drainedPerSecond}/s, ${bounds.drainedPerSecond}/s are asked for`,
    ],
  ];
  return wrong.filter(([is]) => is).map(([, what]) => what);
}

export function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
