import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { inject } from 'vitest';
import * as services from '../../scripts/services/index.mjs';
import { startProxy, type Proxy } from './proxy.ts';

export {
  freePort,
  makeRunDirectory,
  startMosquitto,
  startRegistry,
  type KafkaNode,
  type Mosquitto,
  type Registry,
  type ServiceProcess,
} from '../../scripts/services/index.mjs';

export interface Redis extends services.Redis {
  /** Present where `proxied` was asked for; `url` then leads through it. */
  readonly proxy?: Proxy;
  /** Leads past the proxy. */
  readonly directUrl: string;
}

/** A Redis of the test's own, in about 50 ms; stop it in afterAll. */
export async function startRedis(options: services.RedisOptions & { proxied?: boolean } = {}): Promise<Redis> {
  const { proxied = false, ...rest } = options;
  const redis = await services.startRedis(rest);
  if (!proxied) return Object.assign(redis, { directUrl: redis.url });
  // It outlives stop(), so that start() finds it in front again; it ends with this process.
  const proxy = await startProxy(redis.port);
  return Object.assign(redis, {
    directUrl: redis.url,
    url: redis.url.replace(`:${redis.port}`, `:${proxy.port}`),
    proxy,
  });
}

export interface Kafka extends services.Kafka {
  /** One in front of each node where `proxied` was asked for; `brokers` and the metadata then lead through them. */
  readonly proxies: Proxy[];
}

/** A Kafka of the test's own, in about 2 s (3 nodes: 4 s), for tests that break it; else take sharedKafka(). */
export async function startKafka(options: services.KafkaOptions & { proxied?: boolean } = {}): Promise<Kafka> {
  const { proxied = false, ...rest } = options;
  if (!proxied) return Object.assign(await services.startKafka(rest), { proxies: [] });
  const ports = [];
  const proxies: Proxy[] = [];
  for (let index = 0; index < (rest.nodes ?? 1); index += 1) {
    const port = await services.freePort();
    ports.push(port);
    proxies.push(await startProxy(port));
  }
  const advertisedPorts = proxies.map(({ port }) => port);
  return Object.assign(await services.startKafka({ ...rest, ports, advertisedPorts }), { proxies });
}

export type SharedKafka = Pick<services.Kafka, 'brokers' | 'createTopic' | 'deleteTopic' | 'admin'>;

/**
 * The one Kafka of this test run: started when the first test asks, stopped at the end of the run. Nobody may stop or
 * break it; take topics of your own (see uniqueTopic).
 */
export async function sharedKafka(): Promise<SharedKafka> {
  const brokers = await askForBrokers(inject('sharedKafkaPort'));
  return services.connectKafka(brokers);
}

/** Asking is connecting; the answer comes when Kafka is ready (see global-setup.ts). */
function askForBrokers(port: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = net.connect(port, '127.0.0.1');
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('error', reject);
    socket.on('end', () => {
      const { brokers, error } = JSON.parse(answer) as { brokers?: string[]; error?: string };
      if (brokers === undefined) reject(new Error(error ?? 'the shared Kafka did not start'));
      else resolve(brokers);
    });
  });
}

/** A topic name that no other test of this run has. */
export function uniqueTopic(name = 'test'): string {
  return `${name}-${randomBytes(5).toString('hex')}`;
}
