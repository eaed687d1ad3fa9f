import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Redis as RedisClient } from 'ioredis';
import kafkajs from 'kafkajs';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { consume } from '../support/kcat.ts';
import { freePort, startKafka, startRedis, type Kafka, type Redis } from '../support/services.ts';
import { mainFile } from '../support/sluice.ts';
import { startCommand } from './command.ts';

/** Start, delivery and shutdownTimeout, each with room. */
const RUN_TIMEOUT_MS = 90_000;

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../../', import.meta.url));
const configFile = path.join(repository, 'deploy/compose/sluice.yaml');
const read = (name: string): string => readFileSync(path.join(repository, name), 'utf8');

interface Service {
  image: string;
  command?: string[];
  ports?: string[];
  environment?: Record<string, string | number>;
  volumes?: string[];
  healthcheck?: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
  stop_grace_period?: string;
}

const compose = parse(read('docker-compose.yml')) as {
  services: { redis: Service; kafka: Service; sluice: Service };
  volumes: Record<string, unknown>;
};
const { redis, kafka, sluice } = compose.services;

/** Options of redis-server's command line, `--name value`. */
function redisSettings(): Record<string, string> {
  const [program, ...options] = redis.command ?? [];
  expect(program).toBe('redis-server');
  const settings: Record<string, string> = {};
  for (let index = 0; index < options.length; index += 2) settings[options[index]!.slice(2)] = options[index + 1]!;
  return settings;
}

/** KAFKA_NUM_PARTITIONS is num.partitions of server.properties: how the image's start script reads its environment. */
function kafkaProperties(): Record<string, string> {
  const entries = Object.entries(kafka.environment ?? {}).filter(([name]) => name.startsWith('KAFKA_'));
  return Object.fromEntries(
    entries.map(([name, value]) => [name.slice('KAFKA_'.length).toLowerCase().replaceAll('_', '.'), String(value)]),
  );
}

const pairs = (text: string | undefined, separator: string): [string, string][] =>
  (text ?? '').split(',').map((each) => {
    const at = each.indexOf(separator);
    return [each.slice(0, at), each.slice(at + separator.length)];
  });

describe('docker-compose.yml', () => {
  it('publishes MQTT, WebSocket and Kafka on this machine only', () => {
    expect(sluice.ports).toEqual(['127.0.0.1:1883:1883', '127.0.0.1:8083:8083']);
    expect(kafka.ports?.map((port) => port.split(':').slice(0, 2))).toEqual([['127.0.0.1', '9092']]);
  });

  it('mounts the configuration where the image looks for it, listening on the ports that are published', () => {
    const [source, target, mode] = sluice.volumes![0]!.split(':');
    expect(path.resolve(repository, source!)).toBe(configFile);
    expect([target, mode]).toEqual(['/srv/sluice/sluice.yaml', 'ro']);
    expect(read('Dockerfile')).toMatch(/^WORKDIR \/srv\/sluice$/m);
    const { config } = loadConfig({ file: configFile, env: {} });
    const listening = [config.listeners.mqtt, config.listeners.ws].map((each) => [each?.host, each?.port]);
    expect(listening).toEqual([
      ['0.0.0.0', 1883],
      ['0.0.0.0', 8083],
    ]);
  });

  it('leads sluice to the services by the names and ports that they have', () => {
    const { config } = loadConfig({ file: configFile, env: {} });
    expect([config.buffer.store, config.buffer.url]).toEqual(['redis', 'redis://redis:6379']);
    const client = pairs(kafkaProperties()['advertised.listeners'], '://').find(([name]) => name === 'CLIENT');
    expect(config.kafka.brokers).toEqual([client?.[1]]);
    expect(kafka.healthcheck?.test).toContain(client?.[1]);
  });

  it('gives Kafka listeners that fit together and reach its clients inside and outside', () => {
    const properties = kafkaProperties();
    const listeners = new Map(pairs(properties.listeners, '://'));
    const protocols = new Map(pairs(properties['listener.security.protocol.map'], ':'));
    const advertised = new Map(pairs(properties['advertised.listeners'], '://'));
    expect([...protocols.keys()].sort()).toEqual([...listeners.keys()].sort());
    expect([...advertised.keys(), properties['controller.listener.names']].sort()).toEqual(
      [...listeners.keys()].sort(),
    );
    expect(advertised.get('CLIENT')).toBe(`kafka${listeners.get('CLIENT')}`);
    expect(properties['controller.quorum.voters']).toBe(`${properties['node.id']}@kafka${listeners.get('CONTROLLER')}`);
    expect(advertised.has(properties['inter.broker.listener.name']!)).toBe(true);
    // HOST is advertised as what is published, and what is published leads to where HOST listens.
    const [, published, inside] = kafka.ports![0]!.split(':');
    expect(advertised.get('HOST')).toBe(`localhost:${published}`);
    expect(listeners.get('HOST')).toBe(`:${inside}`);
  });

  it('keeps data in volumes, waits for health, and lets each end in peace', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      const volume = service.volumes!.map((each) => each.split(':')[0]!).find((each) => !each.startsWith('.'));
      expect(Object.keys(compose.volumes), name).toContain(volume);
      expect(service.stop_grace_period, name).toMatch(/^\d+s$/);
    }
    expect(kafkaProperties()['log.dirs']).toBe(kafka.volumes![0]!.split(':')[1]);
    expect(sluice.depends_on).toEqual({
      redis: { condition: 'service_healthy' },
      kafka: { condition: 'service_healthy' },
    });
    const { config } = loadConfig({ file: configFile, env: {} });
    expect(parseInt(sluice.stop_grace_period!) * 1000).toBeGreaterThan(config.shutdownTimeoutMs);
  });

  it('is read by docker compose, where there is one', (context) => {
    if (spawnSync('docker', ['compose', 'version']).status !== 0) {
      console.log('docker compose config: skipped, this machine has no docker compose');
      context.skip();
    }
    const { status, stderr } = spawnSync('docker', ['compose', 'config', '--quiet'], { cwd: repository });
    expect([status, stderr.toString()]).toEqual([0, '']);
  });
});

describe('the image', () => {
  it('copies only what its context lets through', () => {
    const context = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files]) =>
      files!.split(' '),
    );
    expect(copied.length).toBeGreaterThan(0);
    for (const file of copied) {
      expect(context, file).toContain(file);
      expect(existsSync(path.join(repository, file)), file).toBe(true);
    }
  });

  it('runs as a user without rights, and says how it is', () => {
    const stages = read('Dockerfile').split(/^FROM /m);
    expect(stages.at(-1)).toMatch(/^USER node$/m);
    expect(stages.at(-1)).toMatch(/^HEALTHCHECK .*CMD \["sluice", "status"\]$/m);
    expect(stages.at(-1)).toMatch(/^STOPSIGNAL SIGTERM$/m);
  });
});

describe('the configuration that compose mounts, against a real Redis and Kafka as compose sets them up', () => {
  let directory: string;
  let realRedis: Redis;
  let realKafka: Kafka;

  beforeAll(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'sluice-compose-'));
    realRedis = await startRedis({ config: redisSettings() });
    // What names machines, ports and directories of the containers cannot be taken along; the rest is.
    const addresses = /^(node\.id|process\.roles|log\.dirs|.*listeners?(\.|$).*|controller\.quorum\.voters)/;
    const properties = Object.entries(kafkaProperties()).filter(([name]) => !addresses.test(name));
    expect(properties.length).toBeGreaterThanOrEqual(6);
    realKafka = await startKafka({ properties: Object.fromEntries(properties) });
  });
  afterAll(async () => {
    await Promise.all([realRedis?.stop(), realKafka?.stop()]);
    rmSync(directory, { recursive: true });
  });

  it('finds Redis durable', async () => {
    const client = new RedisClient(realRedis.url);
    const found = (await client.config('GET', 'append*', 'maxmemory-policy', 'save')) as string[];
    client.disconnect();
    const settings = Object.fromEntries(
      found.flatMap((name, index) => (index % 2 === 0 ? [[name, found[index + 1]]] : [])),
    );
    expect(settings).toMatchObject({
      appendonly: 'yes',
      appendfsync: 'always',
      'maxmemory-policy': 'noeviction',
      save: '',
    });
  });

  it('uses names that Kafka knows', async () => {
    const { resources } = await realKafka.admin((admin) =>
      admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: kafkajs.ConfigResourceTypes.BROKER, name: '1' }],
      }),
    );
    const known = new Map(resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]));
    expect([...known.keys()]).toEqual(expect.arrayContaining(Object.keys(kafkaProperties())));
    expect(known.get('num.partitions')).toBe(kafkaProperties()['num.partitions']);
    expect(known.get('auto.create.topics.enable')).toBe('false');
  });

  it(
    'takes a message, has it in Kafka, is healthy and ends with code 0',
    async () => {
      const port = await freePort();
      const set = ['-c', configFile, '--set', `listeners.mqtt.port=${port}`, '--set', 'listeners.mqtt.host=127.0.0.1'];
      const data = ['--set', 'listeners.ws=false', '--set', `buffer.path=${directory}`];
      const env = { REDIS_URL: realRedis.url, KAFKA_BROKERS: realKafka.brokers[0]! };
      const running = await startCommand(process.execPath, [mainFile, 'start', ...set, ...data], {
        cwd: directory,
        env,
      });
      try {
        const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'd1' });
        await client.publishAsync('devices/d1/telemetry', '{"celsius":21.5}', { qos: 1 });
        await client.endAsync();
        const status = () =>
          run(process.execPath, [mainFile, 'status', '--json', ...set, ...data], { cwd: directory, env });
        await expect
          .poll(
            async () => (JSON.parse((await status()).stdout) as { ledger: { delivered: number } }).ledger.delivered,
            {
              timeout: 20_000,
            },
          )
          .toBe(1);
      } finally {
        expect(await running.stop(), running.output()).toBe(0);
      }
      for (const topic of ['iot.telemetry', 'mqtt.messages']) {
        const records = await consume(realKafka.brokers, topic);
        expect(records.map(({ key, value }) => [key?.toString(), value?.toString()])).toEqual([
          ['d1', '{"celsius":21.5}'],
        ]);
      }
    },
    RUN_TIMEOUT_MS,
  );
});
