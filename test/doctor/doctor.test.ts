/** `sluice doctor` where something is really broken: each part of what sluice rests on, found and with a way to mend it. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../src/cli/certs.ts';
import { renderFindings } from '../../src/cli/doctor.ts';
import { loadConfig, type SluiceConfig, type SluiceConfigInput } from '../../src/index.ts';
import { bufferFindings } from '../../src/doctor/buffer.ts';
import { certificateFindings } from '../../src/doctor/certificates.ts';
import { examine } from '../../src/doctor/doctor.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { kafkaFindings } from '../../src/doctor/kafka.ts';
import { clockDifference, clockFinding, judgeDescriptors, nodeFinding } from '../../src/doctor/machine.ts';
import { portFindings } from '../../src/doctor/ports.ts';
import { freePort, startKafka, startRedis, uniqueTopic, type Kafka } from '../support/services.ts';
import { runSluice, SluiceProcess } from '../support/sluice.ts';

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'sluice-doctor-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

const configOf = (input: SluiceConfigInput): SluiceConfig =>
  loadConfig({ input: { buffer: { path: join(directory, 'data') }, ...input }, env: {} }).config;
/** Each with a way to mend it where it is not ok. */
const told = (findings: readonly Finding[], state: Finding['state']): string[] => {
  for (const each of findings) expect(each.mend !== undefined, each.what).toBe(each.state !== 'ok');
  return findings.filter((each) => each.state === state).map(({ what, mend }) => `${what} -> ${mend ?? ''}`);
};

describe('the machine', () => {
  it('has a Node that is new enough, and files enough for the connections', () => {
    expect(nodeFinding().state).toBe('ok');
    expect(nodeFinding('18.20.1')).toMatchObject({ state: 'fault', mend: expect.stringContaining('20.19') as string });
    expect(judgeDescriptors('1048576', 100_000).state).toBe('ok');
    expect(judgeDescriptors('unlimited', 100_000).state).toBe('ok');
    expect(judgeDescriptors('1024', 100_000)).toMatchObject({
      state: 'warning',
      mend: expect.stringContaining('LimitNOFILE=100256') as string,
    });
  });

  it('has a clock that can be right, and agrees with its Redis', async () => {
    expect(['ok', 'warning']).toContain((await clockFinding()).state);
    expect((await clockFinding(0)).state).toBe('fault');
    expect(clockDifference('Redis', 0, 4_000).state).toBe('ok');
    expect(clockDifference('Redis', 0, 90_000)).toMatchObject({
      state: 'warning',
      what: 'differs from that of Redis by 90 s',
    });
  });
});

describe('ports', () => {
  it('are free, taken by another process, or not of this machine', async () => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const { port } = other.address() as AddressInfo;
    const config = configOf({
      listeners: {
        mqtt: { port },
        ws: { port: await freePort() },
        http: {
          port: await freePort(),
          host: '192.0.2.1',
          tokens: [{ name: 'a', role: 'viewer', token: 'x'.repeat(16) }],
        },
      },
    });
    const findings = await portFindings(config, undefined);
    expect(told(findings, 'ok')).toHaveLength(1);
    const faults = told(findings, 'fault');
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(new RegExp(`mqtt: 127.0.0.1 port ${port}: another process uses it -> ss -ltnp`));
    expect(faults[1]).toMatch(/http: 192.0.2.1 .*no such address -> set listeners.http.host/);
    await new Promise((done) => other.close(done));
    expect(told(await portFindings(config, undefined), 'fault')).toHaveLength(1);
  });
});

describe('certificates', () => {
  const day = 86_400_000;
  const now = Date.UTC(2026, 5, 1);
  const madeAt = async (name: string, hosts: string[], days = 365): Promise<string> => {
    const at = join(directory, name);
    await mkdir(at, { recursive: true });
    await makeCertificates({ directory: at, hosts, days, now: new Date(now) });
    return at;
  };
  const found = async (at: string, when: number, name?: string, files: { cert?: string; key?: string } = {}) =>
    certificateFindings(
      configOf({
        listeners: {
          mqtts: {
            tls: {
              cert: files.cert ?? join(at, 'server.crt'),
              key: files.key ?? join(at, 'server.key'),
              ca: join(at, 'ca.crt'),
            },
          },
        },
      }),
      name,
      when,
    );

  it('hold, soon expire, have expired, are not valid yet', async () => {
    const at = await madeAt('validity', ['mqtt.example.com']);
    expect(told(await found(at, now, 'mqtt.example.com'), 'ok').join()).toMatch(/covers mqtt.example.com/);
    expect(told(await found(at, now), 'ok').join()).toMatch(/for clients that connect to .*mqtt.example.com/);
    expect(told(await found(at, now + 350 * day), 'warning').join()).toMatch(
      /expires on 2027-06-01, in 15 days -> renew/,
    );
    expect(told(await found(at, now + 366 * day), 'fault').join()).toMatch(/expired on 2027-06-01.*-> renew/);
    expect(told(await found(at, now - 2 * day), 'fault').join()).toMatch(/not valid before .*-> look at the clock/);
  });

  it('cover the name that clients connect to', async () => {
    const at = await madeAt('names', ['mqtt.example.com']);
    const faults = told(await found(at, now, 'broker.example.com'), 'fault');
    expect(faults.join()).toMatch(/does not cover broker.example.com, but .*mqtt.example.com/);
    expect(told(await found(at, now, '127.0.0.1'), 'ok').join()).toMatch(/covers 127.0.0.1/);
    expect(told(await found(at, now, '10.1.2.3'), 'fault')).toHaveLength(1);
  });

  it('have their own key, which only its owner reads, and a chain in order', async () => {
    const at = await madeAt('keys', ['a.example.com']);
    const other = await madeAt('other', ['b.example.com']);
    expect(told(await found(at, now, undefined, { key: join(other, 'server.key') }), 'fault').join()).toMatch(
      /is not the key of this certificate/,
    );
    const chain = join(at, 'chain.crt');
    const [leaf, ca, stranger] = await Promise.all(
      [join(at, 'server.crt'), join(at, 'ca.crt'), join(other, 'ca.crt')].map((file) => readFile(file, 'utf8')),
    );
    await writeFile(chain, `${leaf}${ca}`);
    expect(told(await found(at, now, undefined, { cert: chain }), 'fault')).toEqual([]);
    await writeFile(chain, `${leaf}${stranger}`);
    expect(told(await found(at, now, undefined, { cert: chain }), 'fault').join()).toMatch(/the chain is broken/);
    await writeFile(chain, 'nothing');
    expect(told(await found(at, now, undefined, { cert: chain }), 'fault').join()).toMatch(/holds no certificate/);
    await chmod(join(at, 'server.key'), 0o644);
    expect(told(await found(at, now), 'warning').join()).toMatch(/everybody on this machine can read .*-> chmod 600/);
    await writeFile(join(at, 'server.key'), 'no key');
    expect(told(await found(at, now), 'fault').join()).toMatch(/server.key: .*-> name the PEM file of the private key/);
  });
});

describe('the buffer', () => {
  it('is a directory on a disk with room that can be written', async () => {
    const at = configOf({}).buffer;
    expect(told(await bufferFindings({ ...at, maxBytes: 1 }), 'fault')).toEqual([]);
    expect(told(await bufferFindings({ ...at, maxBytes: 2 ** 60 }), 'warning').join()).toMatch(
      /less than buffer.maxBytes.*-> free disk space/,
    );
    const file = join(directory, 'a-file');
    await writeFile(file, '');
    expect(told(await bufferFindings({ ...at, path: file }), 'fault').join()).toMatch(
      /cannot be written.*-> give it to the user/,
    );
    expect(told(await bufferFindings({ ...at, path: '/dev/shm/sluice-doctor' }), 'warning').join()).toMatch(
      /in memory/,
    );
    await rm('/dev/shm/sluice-doctor', { recursive: true, force: true });
  });

  it('is a Redis that answers and keeps what it has acknowledged', async () => {
    const redis = await startRedis();
    const config = configOf({ buffer: { store: 'redis', url: redis.url } });
    const good = await bufferFindings({ ...config.buffer, maxBytes: 1 });
    expect(told(good, 'ok')).toHaveLength(2);
    expect(told(good, 'ok').join()).toMatch(/AOF appendfsync always.*agrees with Redis/);
    await redis.stop();
    expect(told(await bufferFindings(config.buffer), 'fault').join()).toMatch(
      /Redis does not answer: .*ECONNREFUSED.*-> is it up/,
    );

    const weak = await startRedis({
      config: { appendonly: 'no', 'maxmemory-policy': 'allkeys-lru', maxmemory: '64mb' },
    });
    const its = configOf({ buffer: { store: 'redis', url: weak.url } }).buffer;
    const faults = told(await bufferFindings(its), 'fault');
    expect(faults.join()).toMatch(/appendonly is no/);
    expect(faults.join()).toMatch(/allkeys-lru/);
    expect(told(await bufferFindings(its), 'warning').join()).toMatch(/of its maxmemory left/);
    expect(told(await bufferFindings({ ...its, allowWeakDurability: true }), 'fault')).toEqual([]);
    await weak.stop();
  });
});

describe('Kafka', () => {
  let kafka: Kafka;
  const written = uniqueTopic('written');
  const secret = uniqueTopic('secret');
  const looked = uniqueTopic('looked');
  beforeAll(async () => {
    kafka = await startKafka({
      users: { doctor: 'secret' },
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      },
    });
    for (const topic of [written, secret, looked]) await kafka.createTopic(topic, 2);
    await kafka.admin(async (admin) => {
      const acl = (topic: string, operation: number) => ({
        resourceType: 2,
        resourceName: topic,
        resourcePatternType: 3,
        principal: 'User:doctor',
        host: '*',
        operation,
        permissionType: 3,
      });
      // 4: Write, which brings Describe; 8: Describe; 10: DescribeConfigs.
      await admin.createAcls({ acl: [acl(written, 4), acl(written, 10), acl(looked, 8)] });
    });
  });
  afterAll(() => kafka?.stop());

  const topics = (names: string[]): SluiceConfigInput['routes'] => names.map((to) => ({ from: `${to}/#`, to }));
  const sasl = { mechanism: 'plain' as const, username: 'doctor', password: 'secret' };

  it('is reached or not, broker by broker', async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    const away = await kafkaFindings(configOf({ kafka: { brokers: [nobody] } }));
    expect(told(away, 'fault').join()).toMatch(new RegExp(`nobody answers at ${nobody}: ECONNREFUSED -> start Kafka`));
    const one = configOf({ kafka: { brokers: [nobody, ...kafka.brokers] }, routes: topics([written]) });
    const half = await kafkaFindings(one);
    expect(told(half, 'fault')).toEqual([]);
    expect(told(half, 'warning').join()).toMatch(/one broker less/);
  });

  it('lets us in, or says why not', async () => {
    const wrong = await kafkaFindings(
      configOf({ kafka: { brokers: kafka.saslBrokers, sasl: { ...sasl, password: 'no' } } }),
    );
    expect(told(wrong, 'fault').join()).toMatch(/does not let us in: .*-> correct kafka.sasl/);
    const plain = await kafkaFindings(
      configOf({ kafka: { brokers: kafka.brokers, tls: {}, connectionTimeout: '2s' } }),
    );
    expect(told(plain, 'fault').join()).toMatch(/does not let us in: .*-> is TLS on at one end only/);
  });

  it('has the topics, and lets us write them', async () => {
    const config = configOf({
      kafka: { brokers: kafka.saslBrokers, sasl, createTopics: { enabled: false } },
      routes: topics([written, secret, looked]),
      deadLetter: { topic: uniqueTopic('none') },
    });
    const faults = told(await kafkaFindings(config), 'fault');
    expect(faults).toHaveLength(3);
    expect(faults[0]).toContain(`topic ${secret}: sluice may not look at it -> grant Describe and Write`);
    expect(faults[1]).toContain(`topic ${looked} may not be written -> grant Write`);
    expect(faults[2]).toMatch(/may not look at it|does not exist/);
    // Whoever may everything finds only the topic that is not there.
    const asSuper = { ...config, kafka: { ...config.kafka, brokers: kafka.brokers, sasl: undefined } };
    expect(told(await kafkaFindings(asSuper), 'fault').join()).toMatch(/does not exist -> create it/);
  });
});

describe('the command', () => {
  it('ends with 6 where something is wrong, with 0 where nothing is, and prints JSON', async () => {
    const kafka = await startKafka();
    const sluice = await SluiceProcess.start({ brokers: kafka.brokers });
    const settings = [
      '--set',
      `listeners.mqtt.port=${sluice.port}`,
      '--set',
      'listeners.ws=false',
      '--set',
      `kafka.brokers=${kafka.brokers.join(',')}`,
    ];
    const healthy = await runSluice(['doctor', ...settings, '--set', `buffer.path=${sluice.path}`, '--json'], {
      cwd: directory,
    });
    expect(healthy.code, healthy.stdout).toBe(0);
    const answer = JSON.parse(healthy.stdout) as { healthy: boolean; findings: Finding[] };
    expect(answer.healthy).toBe(true);
    expect(answer.findings.map(({ what }) => what).join()).toContain(
      `held by the sluice that runs (pid ${sluice.pid})`,
    );
    expect(new Set(answer.findings.map(({ check }) => check))).toEqual(
      new Set(['machine', 'clock', 'ports', 'buffer', 'kafka']),
    );

    // Another data directory: the port is a stranger's.
    const sick = await runSluice(['doctor', ...settings, '--set', `buffer.path=${join(directory, 'elsewhere')}`], {
      cwd: directory,
    });
    expect(sick.code).toBe(6);
    expect(sick.stdout).toMatch(/ports +✗ mqtt: .*another process uses it\n +-> ss -ltnp/);
    expect(sick.stdout).toMatch(/1 fault, /);
    // eslint-disable-next-line no-control-regex -- exactly this is meant
    expect(sick.stdout).not.toMatch(/\u001b/);
    await sluice.discard();
    await kafka.stop();
  });

  it('paints only where it is told to', async () => {
    const findings = await examine(
      configOf({ kafka: { brokers: [`127.0.0.1:${await freePort()}`] }, listeners: { mqtt: { port: 0 }, ws: false } }),
    );
    expect(renderFindings(undefined, [], findings, true)).toContain('\u001b[31m✗\u001b[0m nobody answers');
    expect(renderFindings(undefined, [], findings, false)).not.toContain('\u001b');
  });
});
