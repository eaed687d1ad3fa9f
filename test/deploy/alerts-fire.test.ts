/**
 * Every alert rule, triggered by breaking what it watches: sluice is scraped before and after, and Prometheus' own evaluation of the
 * rules is fed with what was scraped. What was scraped is held for as long as a rule wants it to last; an age grows meanwhile, as it would.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis as RedisClient } from 'ioredis';
import mqtt, { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { whyWithout } from '../../scripts/services/index.mjs';
import { askAdmin } from '../../src/http/admin.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, sharedKafka, startRedis, uniqueTopic, type Redis } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

const why = await whyWithout('prometheus', (line) => console.log(line));
if (why !== undefined) console.log(`SKIPPED, no promtool: ${why}`);
const rulesFile = fileURLToPath(new URL('../../deploy/prometheus/alerts.yml', import.meta.url));

const LOOP_DELAY = 'nodejs_eventloop_delay_seconds{quantile="0.99"}';
const INTERVAL_S = 30;
/** Scrapes before and after the break; the rules are looked at twice after it. */
const BEFORE = 10;
const AFTER = 60;
const LOOKS = ['7m', '26m'];

type Scrape = ReadonlyMap<string, string>;
const nothing: Scrape = new Map();
const fired = new Set<string>();
let directory: string;
let metrics: Set<string>;
let alerts: string[];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-alerts-'));
  const text = await readFile(rulesFile, 'utf8');
  metrics = new Set([...text.matchAll(/\b(?:sluice|nodejs)_\w+/g)].map(([name]) => name));
  const { groups } = parse(text) as { groups: { rules: { alert: string }[] }[] };
  alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Samples that some rule asks for, by name and labels. */
async function scrape(sluice: SluiceProcess): Promise<Scrape> {
  const text = (await askAdmin(sluice.path, '/metrics')) as string;
  const samples = [...text.matchAll(/^(\w+)(\{.*\})? (\S+)$/gm)];
  return new Map(
    samples.flatMap(([, name = '', labels = '', value = '']) =>
      metrics.has(name) ? [[`${name}${labels}`, value]] : [],
    ),
  );
}

/** The alerts that fire, as Prometheus has it. */
async function firing(before: Scrape, after: Scrape): Promise<string[]> {
  const series = [...new Set([...before.keys(), ...after.keys()])].map((name) => {
    const [old = '_', now = '_'] = [before.get(name), after.get(name)];
    const ages = name.includes('oldest_age') && Number(now) > 0;
    return { series: name, values: `${old}x${BEFORE - 1} ${ages ? `${now}+${INTERVAL_S}` : now}x${AFTER}` };
  });
  const file = join(directory, 'test.yml');
  const asked = LOOKS.map((at) => ({ expr: 'ALERTS{alertstate="firing"}', eval_time: at, exp_samples: [] }));
  const test = {
    rule_files: [rulesFile],
    evaluation_interval: `${INTERVAL_S}s`,
    tests: [{ interval: `${INTERVAL_S}s`, input_series: series, promql_expr_test: asked }],
  };
  // JSON is YAML.
  await writeFile(file, JSON.stringify(test));
  const said = await new Promise<string>((done) => {
    execFile('promtool', ['test', 'rules', file], (_error, stdout, stderr) => done(`${stdout}${stderr}`));
  });
  // It says what it got in place of nothing.
  const found = [...new Set([...said.matchAll(/alertname=\\?"(\w+)/g)].map(([, name]) => name ?? ''))];
  expect(found.length > 0 || said.includes('SUCCESS'), said).toBe(true);
  return found;
}

async function triggers(alert: string, before: Scrape, after: Scrape): Promise<void> {
  expect(await firing(before, before), 'before').not.toContain(alert);
  expect(await firing(before, after)).toContain(alert);
  fired.add(alert);
}

const publish = async (client: MqttClient, topic: string, payload: string): Promise<void> => {
  await client.publishAsync(topic, payload, { qos: 1 });
};

describe.runIf(why === undefined)('an alert', () => {
  it(
    'does not fire while all is well, but does when records become dead letters or a topic fails',
    { timeout: 120_000 },
    async () => {
      const kafka = await sharedKafka();
      const [good, dead] = [uniqueTopic('good'), uniqueTopic('dead')];
      for (const topic of [good, dead]) await kafka.createTopic(topic, 1);
      const sluice = await SluiceProcess.start({
        brokers: kafka.brokers,
        routes: [
          { name: 'good', from: 'good/#', to: good, value: 'json' },
          { name: 'gone', from: 'gone/#', to: uniqueTopic('gone') },
        ],
        settings: { 'deadLetter.topic': dead, 'kafka.createTopics.enabled': 'false' },
      });
      const client = await connectAsync(sluice.url, { clientId: 'a' });
      await publish(client, 'good/1', '{}');
      await sluice.drained();
      // The first one tells of the start, too: a busy machine makes it a slow one.
      let well = nothing;
      await eventually(async () => Number((well = await scrape(sluice)).get(LOOP_DELAY)) < 0.5, 30_000);
      expect(await firing(well, well)).toEqual([]);

      await publish(client, 'good/1', 'no JSON');
      await sluice.drained();
      await triggers('SluiceDeadLetters', well, await scrape(sluice));
      await publish(client, 'gone/1', 'x');
      await eventually(async () => (await sluice.status()).kafka.failingTopics > 0, 60_000);
      await triggers('SluiceTopicFailing', well, await scrape(sluice));
      await client.endAsync(true);
      await sluice.discard();
    },
  );

  it(
    'fires when Kafka is away, the buffer fills, messages are late, the process is slow, and when it is gone',
    { timeout: 120_000 },
    async () => {
      const maxBytes = 4 * 1024 * 1024;
      const sluice = await SluiceProcess.start({
        brokers: [`127.0.0.1:${await freePort()}`],
        settings: { 'buffer.maxBytes': maxBytes, 'buffer.shards': 1 },
      });
      const well = await scrape(sluice);
      const client = await connectAsync(sluice.url, { clientId: 'a' });
      await publish(client, 'x', 'x');
      await eventually(async () => (await sluice.status()).kafka.error !== undefined, 60_000);
      const away = await scrape(sluice);
      await triggers('SluiceKafkaAway', well, away);
      await triggers('SluiceDeliveryLate', well, away);
      await eventually(async () => {
        await publish(client, 'x', 'x'.repeat(50_000));
        return (await sluice.status()).buffer.bytes > 0.72 * maxBytes;
      }, 60_000);
      await triggers('SluiceBufferFilling', well, await scrape(sluice));
      // The delay is that since the last scrape.
      const busy = eventually(async () => {
        await scrape(sluice);
        sluice.signal('SIGSTOP');
        await new Promise((done) => setTimeout(done, 1_500));
        sluice.signal('SIGCONT');
        const slow = await scrape(sluice);
        return Number(slow.get(LOOP_DELAY)) > 0.5 && (await firing(well, slow)).includes('SluiceEventLoopSlow');
      }, 60_000);
      await busy;
      fired.add('SluiceEventLoopSlow');
      await client.endAsync(true);
      await sluice.kill();
      await triggers('SluiceDown', well, nothing);
      await sluice.discard();
    },
  );

  it(
    'fires when the store is weak, loses, miscounts, refuses, and when nobody forwards a shard',
    { timeout: 120_000 },
    async () => {
      const redis: Redis = await startRedis({ config: { appendfsync: 'everysec' } });
      const settings = {
        'buffer.allowWeakDurability': 'true',
        'buffer.appendTimeout': '2s',
        'buffer.namespace': 'alerts',
      };
      const options = { brokers: [`127.0.0.1:${await freePort()}`], redisUrl: redis.url, settings };
      const sluice = await SluiceProcess.start(options);
      const raw = new RedisClient(redis.url);
      raw.on('error', () => undefined);
      const weak = await scrape(sluice);
      await triggers(
        'SluiceDurabilityWeak',
        new Map([...weak].filter(([name]) => name !== 'sluice_durability_weaknesses')),
        weak,
      );
      const client = mqtt.connect(sluice.url, { clientId: 'a', reconnectPeriod: 200 });
      await publish(client, 'x', 'x');

      await raw.hincrby('{alerts:0}:meta', 'accepted', 3);
      await triggers('SluiceLedgerImbalance', weak, await scrape(sluice));
      await raw.hincrby('{alerts:0}:meta', 'accepted', -3);

      // Killed, it cannot give its leases up: until they have run out nobody has its shards.
      await sluice.kill();
      const other = await SluiceProcess.start(options);
      await triggers('SluiceShardUnowned', weak, await scrape(other));
      await eventually(async () => (await other.status()).buffer.shards.every(({ owned }) => owned), 60_000);

      await raw.flushall();
      const again = await connectAsync(other.url, { clientId: 'a' });
      await eventually(async () => {
        again.publish('x', 'x', { qos: 1 });
        return ((await other.status()).totals.events['log.replaced'] ?? 0) > 0;
      }, 60_000);
      await triggers('SluiceDataLost', weak, await scrape(other));

      await redis.stop();
      again.publish('x', 'x', { qos: 1 });
      await eventually(async () => (await other.status()).buffer.error !== undefined, 60_000);
      await triggers('SluiceBufferRefuses', weak, await scrape(other));
      raw.disconnect();
      client.end(true);
      again.end(true);
      await other.kill();
      await sluice.discard();
      await other.discard();
    },
  );

  it('of every rule has fired', () => {
    expect([...fired].sort()).toEqual([...alerts].sort());
  });
});
