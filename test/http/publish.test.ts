import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSluice, SluiceError, type Sluice } from '../../src/index.ts';
import { answerOf } from '../../src/http/answers.ts';
import { createNullSink } from '../../src/kafka/null-sink.ts';
import { occurs } from '../support/mqtt.ts';

let directory: string;
let sluice: Sluice;
let url: string;
let subscriber: MqttClient;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-publish-'));
  sluice = createSluice(
    {
      listeners: { mqtt: { port: 0 }, ws: false, http: { port: 0 } },
      buffer: { store: 'level', path: directory, shards: 2 },
      limits: { maxPacketSize: '1KB' },
      routes: [{ from: 'devices/#', to: 'iot' }],
      log: { level: 'silent' },
    },
    { sink: createNullSink({ partitions: 1 }) },
  );
  await sluice.start();
  const { listeners } = await sluice.status();
  url = listeners.find(({ name }) => name === 'http')!.url;
  subscriber = await connectAsync(listeners.find(({ name }) => name === 'mqtt')!.url, { protocolVersion: 5 });
  await subscriber.subscribeAsync('#');
});
afterAll(async () => {
  await subscriber.endAsync(true);
  await sluice.stop();
  await rm(directory, { recursive: true, force: true });
});

interface Answer {
  status: number;
  accepted?: number;
  duplicates?: number;
  unrouted?: number;
  error?: { code: string; message: string };
}

async function post(
  path: string,
  body: string | Buffer | undefined,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const init: RequestInit = { method: 'POST', headers };
  if (body !== undefined) init.body = new Uint8Array(Buffer.from(body));
  const answer = await fetch(`${url}${path}`, init);
  return { status: answer.status, ...((await answer.json()) as object) };
}

const accepted = async (): Promise<number> => (await sluice.status()).ledger.accepted;
const lines = (...messages: object[]): string => messages.map((message) => JSON.stringify(message)).join('\n');

describe('POST /publish/{topic}', () => {
  it('takes the body as it is, and hands it to MQTT subscribers with its properties', async () => {
    const before = await accepted();
    const payload = Buffer.from([0, 1, 0xff, 0x0a]);
    const heard = occurs<[string, Buffer, { properties?: Record<string, unknown> }]>(subscriber, 'message');
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const headers = { 'content-type': 'application/cbor', traceparent };
    expect(await post('/publish/devices/d%2F1/%C3%BC', payload, headers)).toEqual({
      status: 200,
      accepted: 1,
      duplicates: 0,
      unrouted: 0,
    });
    const [topic, received, packet] = await heard;
    expect(topic).toBe('devices/d/1/ü');
    expect(received).toEqual(payload);
    expect(packet.properties).toMatchObject({ contentType: 'application/cbor', userProperties: { traceparent } });
    expect(await accepted()).toBe(before + 1);
  });

  it('takes an empty payload, and says where a topic has no route', async () => {
    expect((await post('/publish/devices/d1', undefined)).status).toBe(200);
    expect(await post('/publish/elsewhere', 'x')).toMatchObject({ status: 202, unrouted: 1 });
  });

  it.each([
    ['a wildcard', '/publish/devices/%23', 403, 'PUBLISH_REFUSED'],
    ['a topic of the broker', '/publish/$SYS/x', 403, 'PUBLISH_REFUSED'],
    ['no topic', '/publish/', 403, 'PUBLISH_REFUSED'],
    ['a QoS that is none', '/publish/devices/a?qos=3', 400, 'FST_ERR_VALIDATION'],
    ['a client id with a control character', '/publish/devices/a?clientId=%00', 400, 'FST_ERR_VALIDATION'],
  ])('refuses %s for good', async (_, path, status, code) => {
    expect(await post(path, 'x')).toMatchObject({ status, error: { code } });
  });

  it('refuses what is larger than limits.maxPacketSize', async () => {
    expect((await post('/publish/devices/a', Buffer.alloc(1_024))).status).toBe(200);
    expect((await post('/publish/devices/a', Buffer.alloc(1_025))).status).toBe(413);
  });
});

describe('POST /publish', () => {
  it('takes JSON lines in their order', async () => {
    const before = await accepted();
    const batch = lines(
      { topic: 'devices/a', payload: 'text' },
      { topic: 'devices/b', payload: { json: [1, null] }, retain: true },
      { topic: 'devices/c', payloadBase64: 'AAH/', clientId: 'c', contentType: 'x', userProperties: { a: 'b' } },
      { topic: 'nowhere', payload: '' },
    );
    const topics: string[] = [];
    const listener = (topic: string): number => topics.push(topic);
    subscriber.on('message', listener);
    const last = new Promise<void>((done) => subscriber.on('message', (topic) => topic === 'nowhere' && done()));
    expect(await post('/publish', `${batch}\n`)).toEqual({ status: 200, accepted: 4, duplicates: 0, unrouted: 1 });
    await last;
    subscriber.off('message', listener);
    expect(topics).toEqual(['devices/a', 'devices/b', 'devices/c', 'nowhere']);
    expect(await accepted()).toBe(before + 3);
  });

  it.each([
    ['no JSON', '{"topic":"devices/a","payload":1}\nnope', /line 2/],
    ['an unknown field', lines({ topic: 'devices/a', payload: 1, topics: 2 }), /line 1: unknown field "topics"/],
    ['no topic', lines({ payload: 1 }), /line 1: topic is missing/],
    ['two payloads', lines({ topic: 'a', payload: 1, payloadBase64: '' }), /either payload or payloadBase64/],
    ['half a byte', lines({ topic: 'a', payloadBase64: 'A' }), /not base64/],
    ['a payload that is too large', lines({ topic: 'a', payload: 'x'.repeat(1_025) }), /larger than 1024 bytes/],
    ['a QoS of 2', lines({ topic: 'a', payload: 1, qos: 2 }), /qos is 0 or 1/],
    ['a list', '[1]', /not a JSON object/],
    ['nothing', '\n', /no message/],
    ['too many', lines(...Array.from({ length: 10_001 }, () => ({ topic: 'a', payload: 1 }))), /line 10001: more than/],
  ])('takes nothing of a body with %s', async (_, body, says) => {
    const before = await accepted();
    const answer = await post('/publish', body);
    expect(answer).toMatchObject({ status: 400, error: { code: 'BATCH_INVALID' } });
    expect(answer.error?.message).toMatch(says);
    expect(await accepted()).toBe(before);
  });

  it('names the lines that were refused, and has taken the others', async () => {
    const before = await accepted();
    const answer = await post(
      '/publish',
      lines({ topic: 'devices/a', payload: 1 }, { topic: '$SYS/b', payload: 2 }, { topic: 'devices/c', payload: 3 }),
    );
    expect(answer).toMatchObject({
      status: 403,
      accepted: 2,
      refused: 1,
      errors: [{ line: 2, code: 'PUBLISH_REFUSED' }],
    });
    expect(await accepted()).toBe(before + 2);
  });
});

describe('an idempotency key', () => {
  it('is taken once, also when it comes twice at a time and after a restart', async () => {
    const before = await accepted();
    const headers = { 'idempotency-key': 'order-7' };
    const both = await Promise.all([
      post('/publish/devices/k', 'x', headers),
      post('/publish/devices/k', 'x', headers),
    ]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    expect(both.map(({ duplicates }) => duplicates).sort()).toEqual([0, 1]);
    expect(await accepted()).toBe(before + 1);

    await sluice.stop();
    await sluice.start();
    url = (await sluice.status()).listeners.find(({ name }) => name === 'http')!.url;
    expect(await post('/publish/devices/k', 'x', headers)).toMatchObject({ status: 200, duplicates: 1 });
    expect(await post('/publish/devices/k?clientId=other', 'x', headers)).toMatchObject({ status: 200, duplicates: 0 });
    expect(await accepted()).toBe(before + 2);
  });

  it('of a batch names each of its lines', async () => {
    const before = await accepted();
    const batch = lines({ topic: 'devices/a', payload: 1 }, { topic: 'devices/a', payload: 2, key: 'mine' });
    const headers = { 'idempotency-key': 'batch-1' };
    expect(await post('/publish', batch, headers)).toMatchObject({ accepted: 2, duplicates: 0 });
    expect(await post('/publish', batch, headers)).toMatchObject({ accepted: 2, duplicates: 2 });
    expect(await post('/publish', lines({ topic: 'devices/a', payload: 3, key: 'mine' }))).toMatchObject({
      duplicates: 1,
    });
    expect(await accepted()).toBe(before + 2);
  });
});

describe('an outage', () => {
  it('is answered with 503 and when to try again', async () => {
    for (const code of ['STORE_TIMEOUT', 'STORE_FULL', 'STORE_OFFLINE', 'NOT_RUNNING'] as const) {
      const { status, retryAfterS } = answerOf(new SluiceError(code, ''));
      expect(status, code).toBe(503);
      expect(retryAfterS, code).toBeGreaterThan(0);
    }
    expect(answerOf(new SluiceError('TOO_MANY_REQUESTS', ''))).toMatchObject({ status: 429, retryAfterS: 10 });
  });
});
