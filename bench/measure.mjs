/**
 * One scenario: server, consumer and generator are started, warmed up, measured over a window, drained, counted.
 *
 *   connect -> warm up -> mark -> (measuring window) -> snapshot -> stop publishing -> drain -> count -> stop
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { freePort, makeRunDirectory } from '../scripts/services/index.mjs';
import { monotonicMs, pause } from './clock.mjs';
import { checkCounts, checkLedger } from './counts.mjs';
import { startRole } from './process.mjs';
import { cpuOf } from './services.mjs';

const HOST = '127.0.0.1';
const PROGRESS_MS = 250;
const DRAIN_POLL_MS = 50;
/** Nothing new for so long: the rest does not come. */
const DRAIN_STALL_MS = 15_000;
/** Several batches of kafkajs' garbage fit in its default heap; sluice and aedes run with Node's defaults as well. */
const ROLE_OPTIONS = { env: { KAFKAJS_NO_PARTITIONER_WARNING: '1', NODE_ENV: 'production' } };

const ROUTE = 'bench';

/**
 * @typedef {object} Run
 * @property {import('./scenarios.mjs').Load} load
 * @property {number} warmUpMs
 * @property {number} measureMs
 * @property {string} id distinguishes topics and namespaces of runs
 * @property {import('./services.mjs').Services} services
 * @property {string | undefined} profileDir
 * @property {(text: string) => void} progress
 */

/** @param {import('./scenarios.mjs').Scenario} scenario @param {Run} run */
export async function measure(scenario, run) {
  const load = { ...run.load, ...scenario.load };
  const cleanups = [];
  try {
    const parts = await assemble(scenario, load, run, (cleanup) => cleanups.push(cleanup));
    return { scenario: scenario.name, title: scenario.title, load, ...(await observe(scenario, load, run, parts)) };
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup().catch(() => {});
  }
}

async function assemble(scenario, load, run, atEnd) {
  const { kafka } = run.services;
  const name = `sluice-bench-${run.id}-${scenario.name}`;
  const role = async (which) => {
    const started = await startRole(which, ROLE_OPTIONS);
    atEnd(() => started.end());
    return started;
  };

  let consumer;
  if (scenario.sink === 'kafka') {
    await kafka.createTopic(name, load.partitions);
    if (!kafka.own) atEnd(() => kafka.deleteTopic(name));
    consumer = await role('consumer');
    await consumer.call('start', { topic: name, leaders: await kafka.leaders(name) });
  }
  const server = await role(scenario.server);
  if (scenario.server === 'kafkajs') {
    await server.call('start', { brokers: kafka.brokers, topic: name, ...load });
    return { server, publisher: server, consumer };
  }
  const options = scenario.server === 'sluice' ? await sluiceOptions(scenario, load, run, name, atEnd) : {};
  const { port } = await server.call('start', options);
  const publisher = await role('generator');
  await publisher.call('connect', { port, host: HOST, ...load });
  return { server, publisher, consumer };
}

async function sluiceOptions(scenario, load, { services }, name, atEnd) {
  const directory = await makeRunDirectory('bench');
  atEnd(() => rm(directory, { recursive: true, force: true }));
  if (scenario.store === 'redis' && !services.redis.own) atEnd(() => services.redis.forget(name));
  const redis = { url: services.redis?.url, namespace: name };
  const config = {
    listeners: { mqtt: { port: await freePort(), host: HOST }, ws: false },
    buffer: {
      store: scenario.store,
      path: path.join(directory, 'data'),
      ...(scenario.store === 'redis' ? redis : {}),
    },
    kafka: services.kafka === undefined ? {} : { brokers: services.kafka.brokers },
    routes: [{ name: ROUTE, from: `${ROUTE}/#`, to: name }],
    log: { level: 'warn' },
  };
  return { config, sink: scenario.sink, partitions: load.partitions };
}

async function observe(scenario, load, run, { server, publisher, consumer }) {
  const { services } = run;
  const cpuOfServices = async () => ({
    redis: await cpuOf(services.redis?.pid),
    kafka: await cpuOf(services.kafka?.pid),
  });
  const look = async (method) => {
    const [sent, used, received, others] = await Promise.all([
      publisher.call(method),
      server === publisher ? undefined : server.call('usage'),
      consumer?.call(method),
      cpuOfServices(),
    ]);
    return { sent, used: used ?? sent, received, others };
  };

  await publisher.call('run', { rate: load.rate });
  await watch(run, run.warmUpMs, 'warming up', publisher, consumer);
  if (run.profileDir !== undefined) await server.call('startProfile');
  const before = await look('mark');
  await watch(run, run.measureMs, 'measuring', publisher, consumer);
  const after = await look('snapshot');
  if (run.profileDir !== undefined) {
    await server.call('stopProfile', path.join(run.profileDir, `${scenario.name}.cpuprofile`));
  }

  run.progress('draining');
  const sent = await publisher.call('stop');
  const drainFrom = monotonicMs();
  const drained = await drain(scenario, sent, server, consumer);
  const drainMs = monotonicMs() - drainFrom;
  const received = await consumer?.call('stop');
  const status = scenario.server === 'sluice' ? await server.call('status') : undefined;
  if (publisher !== server) await server.call('stop');

  return {
    ...figures(before, after),
    drainMs,
    durability: status?.durability,
    weak: status?.weak,
    counts: {
      published: sent.published,
      acknowledged: sent.acknowledged,
      delivered: received?.distinct ?? drained?.taken,
      duplicates: received?.duplicates,
      wrong: [...checkCounts(sent, received), ...checkLedger(sent.acknowledged, drained)],
    },
  };
}

/** What the window between two looks amounts to. Rates are by the clock of the process that counted. */
function figures(before, after) {
  const perSecond = (from, to, field) => ((to[field] - from[field]) / (to.atMs - from.atMs)) * 1000;
  const cpuUs = (from, to) => to.cpuUserUs + to.cpuSystemUs - from.cpuUserUs - from.cpuSystemUs;
  const acknowledged = after.sent.acknowledged - before.sent.acknowledged;
  const delivered = after.received === undefined ? undefined : after.received.records - before.received.records;
  const serverUs = cpuUs(before.used, after.used);
  const wallUs = (after.used.atMs - before.used.atMs) * 1000;
  const share = (us) => (us === undefined ? undefined : us / wallUs);
  const since = (name) => (before.others[name] === undefined ? undefined : after.others[name] - before.others[name]);
  return {
    acknowledgedPerSecond: perSecond(before.sent, after.sent, 'acknowledged'),
    deliveredPerSecond: delivered === undefined ? undefined : perSecond(before.received, after.received, 'records'),
    /** All threads of the server, per message that it has brought all the way: delivered, or acknowledged without a Kafka. */
    cpuPerMessageUs: serverUs / (delivered ?? acknowledged),
    /** Acknowledged and not consumed: grows where acknowledging is faster than delivering. */
    backlog:
      delivered === undefined
        ? undefined
        : {
            atStart: before.sent.acknowledged - before.received.records,
            atEnd: after.sent.acknowledged - after.received.records,
          },
    publishToAcknowledged: after.sent.latency,
    publishToConsumed: after.received?.latency,
    scheduleLateness: after.sent.lateness?.count > 0 ? after.sent.lateness : undefined,
    rssBytes: after.used.rssBytes,
    eventLoopUtilization: after.used.eventLoopUtilization,
    /** Of one core, over the window. */
    cpuShare: {
      server: share(serverUs),
      generator: after.sent === after.used ? undefined : share(cpuUs(before.sent, after.sent)),
      consumer: after.received === undefined ? undefined : share(cpuUs(before.received, after.received)),
      redis: share(since('redis')),
      kafka: share(since('kafka')),
    },
  };
}

/** Waits while showing how far it is; ends early when something has gone wrong. */
async function watch({ progress }, forMs, what, publisher, consumer) {
  const until = monotonicMs() + forMs;
  for (let left = forMs; left > 0; left = until - monotonicMs()) {
    await pause(Math.min(left, PROGRESS_MS));
    const [sent, received] = await Promise.all([publisher.call('progress'), consumer?.call('progress')]);
    const delivered = received === undefined ? '' : `, ${received.records.toLocaleString('en')} in Kafka`;
    progress(`${what}: ${sent.acknowledged.toLocaleString('en')} acknowledged${delivered}`);
    const fault = sent.faults[0] ?? received?.faults[0];
    if (fault !== undefined) throw new Error(fault);
  }
}

/** Until all that was acknowledged has come out, or nothing more comes. @returns the ledger, where sluice keeps one */
async function drain(scenario, sent, server, consumer) {
  let last = -1;
  let lastAtMs = monotonicMs();
  for (;;) {
    const ledger = scenario.server === 'sluice' ? await server.call('ledger') : undefined;
    const received = await consumer?.call('progress');
    const settled = ledger === undefined || ledger.buffered === 0;
    const out = received?.records ?? ledger?.delivered ?? sent.acknowledged;
    if (settled && out >= sent.acknowledged) return ledger;
    if (out !== last) {
      last = out;
      lastAtMs = monotonicMs();
    } else if (monotonicMs() - lastAtMs > DRAIN_STALL_MS) {
      return ledger;
    }
    await pause(DRAIN_POLL_MS);
  }
}
