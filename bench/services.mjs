/** The real Redis and Kafka of a run: those that REDIS_URL and KAFKA_BROKERS name, else started here and stopped again. */
import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { connectKafka, startKafka, startRedis } from '../scripts/services/index.mjs';

/** As a server would run it: the compiler that optimises, and memory enough not to collect all the time. */
const KAFKA_JVM = ['-Xms512m', '-Xmx512m', '-XX:+UseG1GC'];
const CLOCK_TICKS_PER_SECOND = 100;
const SCAN_COUNT = 1_000;

/** CPU time of a process of this machine in microseconds, all threads; undefined where that cannot be told. */
export async function cpuOf(pid) {
  if (pid === undefined) return undefined;
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / CLOCK_TICKS_PER_SECOND;
}

async function redisService() {
  const url = process.env.REDIS_URL;
  if (url !== undefined && url !== '') {
    return { url, pid: undefined, own: false, forget: (namespace) => forget(url, namespace), stop: async () => {} };
  }
  const redis = await startRedis();
  return {
    url: redis.url,
    pid: redis.pid,
    own: true,
    forget: (namespace) => forget(redis.url, namespace),
    stop: redis.stop,
  };
}

async function forget(url, namespace) {
  const redis = new Redis(url);
  try {
    for await (const keys of redis.scanStream({ match: `*${namespace}*`, count: SCAN_COUNT })) {
      if (keys.length > 0) await redis.unlink(...keys);
    }
  } finally {
    redis.disconnect();
  }
}

async function kafkaService(say) {
  const brokers = (process.env.KAFKA_BROKERS ?? '').split(',').filter(Boolean);
  const own = brokers.length === 0;
  const kafka = own ? await startKafka({ jvmOptions: KAFKA_JVM, say }) : connectKafka(brokers);
  return {
    brokers: kafka.brokers,
    pid: own ? kafka.nodes[0].pid : undefined,
    own,
    createTopic: (topic, partitions) => kafka.createTopic(topic, partitions),
    deleteTopic: (topic) => kafka.deleteTopic(topic),
    /** Which broker leads which partitions of a topic. */
    leaders: (topic) =>
      kafka.admin(async (admin) => {
        const { brokers: nodes } = await admin.describeCluster();
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        return nodes
          .map(({ nodeId, host, port }) => ({
            host,
            port,
            partitions: topics[0].partitions.filter(({ leader }) => leader === nodeId).map((part) => part.partitionId),
          }))
          .filter(({ partitions }) => partitions.length > 0);
      }),
    stop: async () => {
      if (own) await kafka.stop();
    },
  };
}

/**
 * Starts what the scenarios need and nothing else.
 *
 * @param {import('./scenarios.mjs').Scenario[]} scenarios
 * @param {(line: string) => void} say
 */
export async function startServices(scenarios, say) {
  const started = [];
  const stop = async () => {
    for (const service of started.reverse()) await service.stop();
  };
  const begin = async (what, start) => {
    say(`starting ${what}`);
    const service = await start();
    started.push(service);
    return service;
  };
  try {
    const redis = scenarios.some(({ store }) => store === 'redis') ? await begin('Redis', redisService) : undefined;
    const kafka = scenarios.some(({ sink }) => sink === 'kafka')
      ? await begin('Kafka', () => kafkaService(say))
      : undefined;
    return { redis, kafka, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @typedef {Awaited<ReturnType<typeof startServices>>} Services */
