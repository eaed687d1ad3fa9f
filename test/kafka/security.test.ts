import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createKafkaSink, type KafkaOptions } from '../../src/kafka/adapter.ts';
import type { KafkaSink } from '../../src/kafka/sink.ts';
import { consume } from '../support/kcat.ts';
import { makeRunDirectory, startKafka, uniqueTopic, type Kafka } from '../support/services.ts';
import { numbered, slicesOf } from './support/records.ts';

const USER = 'sluice';
const PASSWORD = 'right-secret';

let kafka: Kafka;
let ca: string;
const sinks: KafkaSink[] = [];
const logged: string[] = [];

beforeAll(async () => {
  const tls = await certificates(await makeRunDirectory('kafka-tls'));
  ca = tls.ca;
  // Re-authentication (KIP-368): a SASL session is over after this time, and the broker closes connections that go on.
  const properties = { 'connections.max.reauth.ms': 11_000 };
  kafka = await startKafka({ users: { [USER]: PASSWORD }, tls, properties });
});
afterAll(() => kafka.stop());
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close();
});

/** A CA and a certificate of it for 127.0.0.1. */
async function certificates(directory: string): Promise<{ cert: string; key: string; ca: string }> {
  const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=test CA');
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:kafka.example'];
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-addext', 'basicConstraints=critical,CA:FALSE'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    ...signed,
    '-keyout',
    'server.key',
    '-out',
    'server.crt',
    '-subj',
    '/CN=k',
    ...names,
  );
  const [cert, key, ca] = await Promise.all(
    ['server.crt', 'server.key', 'ca.crt'].map((name) => readFile(path.join(directory, name), 'utf8')),
  );
  return { cert: cert ?? '', key: key ?? '', ca: ca ?? '' };
}

function open(options: Omit<KafkaOptions, 'createTopics'>): KafkaSink {
  const log = (_level: string, message: string, detail?: object): void =>
    void logged.push(`${message} ${JSON.stringify(detail ?? {})}`);
  const sink = createKafkaSink(options, { log });
  sinks.push(sink);
  return sink;
}

async function writeAndRead(sink: KafkaSink): Promise<void> {
  const topic = uniqueTopic('secure');
  await sink.loadTopic(topic);
  await sink.send(sink.encode(topic, 0, slicesOf(numbered(3)), 0, 3));
  expect((await consume(kafka.directBrokers, topic)).map(({ value }) => String(value))).toEqual(['v0', 'v1', 'v2']);
}

/** Kafka's test listener takes unsecured tokens (RFC 7519 §6). */
function unsecuredToken(): string {
  const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');
  const now = Math.floor(Date.now() / 1_000);
  return `${part({ alg: 'none' })}.${part({ sub: USER, iat: now, exp: now + 300 })}.`;
}

describe('SASL', () => {
  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('%s', async (mechanism) => {
    const sasl = { mechanism, username: USER, password: PASSWORD };
    await writeAndRead(open({ brokers: kafka.saslBrokers, sasl }));
  });

  it('oauthbearer', async () => {
    let asked = 0;
    const token = async (): Promise<string> => {
      asked++;
      return unsecuredToken();
    };
    await writeAndRead(open({ brokers: kafka.saslBrokers, sasl: { mechanism: 'oauthbearer', token } }));
    expect(asked).toBe(1);
  });

  it.each(['plain', 'scram-sha-256'] as const)(
    '%s with a wrong password is a fault of the cluster',
    async (mechanism) => {
      const sasl = { mechanism, username: USER, password: 'wr0ng-secret' };
      const sink = open({ brokers: kafka.saslBrokers, sasl });
      for (let round = 0; round < 2; round++) {
        const reason = 'SASL_AUTHENTICATION_FAILED';
        await expect(sink.loadTopic('t')).rejects.toMatchObject({ scope: 'cluster', reason });
      }
    },
  );

  it('is renewed before the broker ends the session, under load and without a fault', async () => {
    const sasl = { mechanism: 'scram-sha-256' as const, username: USER, password: PASSWORD };
    const sink = open({ brokers: kafka.saslBrokers, sasl });
    const topic = uniqueTopic('renewed');
    await sink.loadTopic(topic);
    let count = 0;
    for (const until = performance.now() + 13_000; performance.now() < until; count++) {
      await sink.send(sink.encode(topic, 0, slicesOf(numbered(1, count)), 0, 1));
    }
    expect(await consume(kafka.directBrokers, topic)).toHaveLength(count);
  });

  it('never puts a password or a token into the log', () => {
    expect(logged.length).toBeGreaterThan(0);
    expect(logged.filter((line) => /right-secret|wr0ng-secret|eyJ/.test(line))).toEqual([]);
  });
});

describe('TLS', () => {
  it('trusts the authority that was given', async () => {
    await writeAndRead(open({ brokers: kafka.tlsBrokers, tls: { ca } }));
  });

  it('looks for the name that was given', async () => {
    await writeAndRead(open({ brokers: kafka.tlsBrokers, tls: { ca, servername: 'kafka.example' } }));
    const other = open({ brokers: kafka.tlsBrokers, tls: { ca, servername: 'other.example' } });
    await expect(other.loadTopic('t')).rejects.toMatchObject({ scope: 'cluster', reason: 'CONNECTION_FAILED' });
  });

  it('does not trust an authority that is not known', async () => {
    const sink = open({ brokers: kafka.tlsBrokers, tls: true });
    await expect(sink.loadTopic('t')).rejects.toMatchObject({ scope: 'cluster', reason: 'CONNECTION_FAILED' });
  });
});
