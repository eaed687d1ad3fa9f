import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type tls from 'node:tls';
import { promisify } from 'node:util';
import { Redis as Client } from 'ioredis';
import kafkajs from 'kafkajs';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { makeCertificates } from '../../src/cli/certs.ts';
import { repository } from '../../scripts/services/index.mjs';
import { consume } from './kcat.ts';
import { makeRunDirectory, startKafka, startRedis, uniqueTopic } from './services.ts';

const run = promisify(execFile);

function isAlive(pid: number | undefined): boolean {
  try {
    process.kill(pid ?? 0, 0);
    return pid !== undefined;
  } catch {
    return false;
  }
}

describe('a Redis for tests', () => {
  it('is durable and does not evict, and comes back after a kill with what it acknowledged', async () => {
    const redis = await startRedis();
    const ask = async <T>(task: (client: Client) => Promise<T>): Promise<T> => {
      const client = new Client(redis.url);
      return task(client).finally(() => client.disconnect());
    };
    const settings = await ask((client) => client.config('GET', 'append*', 'maxmemory-policy', 'save'));
    expect(settings).toEqual(expect.arrayContaining(['appendonly', 'yes', 'appendfsync', 'always', 'noeviction']));
    await ask((client) => client.set('kept', 'yes'));
    await redis.kill();
    expect(redis.running).toBe(false);
    await redis.start();
    expect(await ask((client) => client.get('kept'))).toBe('yes');
    await redis.stop();
  });

  it('hangs while paused and goes on when resumed', async () => {
    const redis = await startRedis();
    const client = new Client(redis.url);
    await client.ping();
    redis.pause();
    const answer = client.set('a', '1').then(() => 'answered');
    const nothing = new Promise((resolve) => setTimeout(() => resolve('nothing'), 100));
    expect(await Promise.race([answer, nothing])).toBe('nothing');
    redis.resume();
    expect(await answer).toBe('answered');
    client.disconnect();
    await redis.stop();
  });

  it('leads through a proxy where asked', async () => {
    const redis = await startRedis({ proxied: true, config: { requirepass: 'secret' } });
    const client = new Client(redis.url);
    await client.ping();
    expect([redis.proxy?.accepted, redis.url === redis.directUrl]).toEqual([1, false]);
    client.disconnect();
    await redis.stop();
  });

  it('does not outlive a process that was killed', async () => {
    const program = `
      const { startRedis } = await import(${JSON.stringify(path.join(repository, 'scripts/services/index.mjs'))});
      console.log((await startRedis()).pid);
      process.kill(process.pid, 'SIGKILL');`;
    const output = await run(process.execPath, ['--input-type=module', '-e', program]).catch(
      (error: { stdout: string }) => error,
    );
    const pid = Number(output.stdout);
    expect(pid).toBeGreaterThan(0);
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 5_000);
  });
});

describe('a Kafka for tests', () => {
  const stops: (() => Promise<void>)[] = [];
  afterAll(() => Promise.all(stops.map((stop) => stop())));

  it('keeps its topics and records through a kill, on the same port', async () => {
    const kafka = await startKafka();
    stops.push(() => kafka.stop());
    const topic = uniqueTopic();
    await kafka.createTopic(topic, 2, { config: { 'max.message.bytes': 2_000 } });
    await expect(kafka.createTopic(topic, 2)).rejects.toThrow();
    await run('sh', ['-c', `echo kept | kcat -P -b ${kafka.brokers[0]} -t ${topic} -p 1`]);
    await kafka.kill();
    await kafka.start();
    expect((await consume(kafka.brokers, topic)).map(({ value }) => value?.toString())).toEqual(['kept']);
    expect(existsSync(kafka.nodes[0]?.logFile ?? '')).toBe(true);
  });

  it('is a cluster of three through proxies, and clients see only these', async () => {
    const kafka = await startKafka({ nodes: 3, proxied: true });
    stops.push(() => kafka.kill());
    const topic = uniqueTopic();
    await kafka.createTopic(topic, 3);
    const [partition] = (await kafka.admin((admin) => admin.fetchTopicMetadata({ topics: [topic] }))).topics[0]!
      .partitions;
    expect(partition?.replicas.length).toBe(3);
    await consume(kafka.brokers, topic);
    expect(kafka.proxies.every((proxy) => proxy.accepted > 0)).toBe(true);
  });

  it('asks for a password on its SASL listener', async () => {
    const kafka = await startKafka({ users: { alice: 'secret' } });
    stops.push(() => kafka.stop());
    // Not with kcat: Debian's librdkafka repeats its nonce wrongly, and Kafka since 3.9 takes no such SCRAM.
    for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
      const connect = async (password: string): Promise<void> => {
        const sasl = { mechanism, username: 'alice', password } as kafkajs.SASLOptions;
        const options = { brokers: kafka.saslBrokers, sasl, logLevel: kafkajs.logLevel.NOTHING, retry: { retries: 0 } };
        const admin = new kafkajs.Kafka(options).admin();
        await admin.connect().finally(() => admin.disconnect());
      };
      await connect('secret');
      await expect(connect('wrong'), mechanism).rejects.toThrow(/[Aa]uthentication/);
    }
  });

  it('takes TLS on a listener with certificates of its own', async () => {
    const directory = await makeRunDirectory('certs');
    await makeCertificates({ directory });
    const [cert, key, ca] = ['server.crt', 'server.key', 'ca.crt'].map((name) =>
      readFileSync(path.join(directory, name), 'utf8'),
    );
    const kafka = await startKafka({ tls: { cert: cert!, key: key!, ca: ca! } });
    stops.push(() => kafka.stop());
    const connect = async (ssl: tls.ConnectionOptions): Promise<void> => {
      const options = { brokers: kafka.tlsBrokers, ssl, logLevel: kafkajs.logLevel.NOTHING, retry: { retries: 0 } };
      const admin = new kafkajs.Kafka(options).admin();
      await admin.connect().finally(() => admin.disconnect());
    };
    await connect({ ca: [ca!] });
    await expect(connect({})).rejects.toThrow(/certificate/);
  });
});
