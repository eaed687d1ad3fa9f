import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { partsOf } from '../../src/http/health.ts';
import { askAdmin } from '../../src/http/admin.ts';
import { Tokens } from '../../src/http/tokens.ts';
import { createSluice, type Sluice, type SluiceStatus } from '../../src/index.ts';
import { createNullSink } from '../../src/kafka/null-sink.ts';
import { eventually } from '../support/eventually.ts';
import { parseMetrics } from '../support/prometheus.ts';

const OPERATOR = 'operator-token-0123456789';
const VIEWER = 'viewer-token-0123456789';

let directory: string;
/** Without tokens. */
let open: Sluice;
let guarded: Sluice;
const clients: MqttClient[] = [];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-http-'));
  const tokenFile = join(directory, 'token');
  await writeFile(tokenFile, `${VIEWER}\n`);
  open = await start('open', []);
  guarded = await start('guarded', [
    { name: 'ops', role: 'operator', token: OPERATOR },
    { name: 'prometheus', role: 'viewer', file: tokenFile },
  ]);
});
afterAll(async () => {
  for (const client of clients) await client.endAsync(true);
  await open.stop();
  await guarded.stop();
  await rm(directory, { recursive: true, force: true });
});

type Tokened = { name: string; role: 'viewer' | 'operator'; token?: string; file?: string };

async function start(name: string, tokens: Tokened[]): Promise<Sluice> {
  const sluice = createSluice(
    {
      listeners: { mqtt: { port: 0 }, ws: false, http: { port: 0, tokens } },
      buffer: { store: 'memory', path: join(directory, name) },
      kafka: { brokers: ['localhost:9092'], sasl: { mechanism: 'plain', username: 'u', password: 'hunter2' } },
      routes: [{ name: 'telemetry', from: 'devices/#', to: 'iot' }],
      log: { level: 'silent' },
    },
    { sink: createNullSink({ partitions: 1 }) },
  );
  await sluice.start();
  return sluice;
}

async function urlOf(sluice: Sluice, name: string): Promise<string> {
  return (await sluice.status()).listeners.find((listener) => listener.name === name)!.url;
}

async function ask(
  sluice: Sluice,
  path: string,
  { token, ...init }: RequestInit & { token?: string } = {},
): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  return fetch(`${await urlOf(sluice, 'http')}${path}`, { ...init, headers });
}

async function device(sluice: Sluice, clientId: string, protocolVersion: 4 | 5 = 5): Promise<MqttClient> {
  const client = await connectAsync(await urlOf(sluice, 'mqtt'), { clientId, protocolVersion, reconnectPeriod: 0 });
  clients.push(client);
  return client;
}

describe('a listener without tokens', () => {
  it('serves this machine with every right', async () => {
    expect((await ask(open, '/api/v1/status')).status).toBe(200);
    expect((await ask(open, '/api/v1/clients/nobody/disconnect', { method: 'POST' })).status).toBe(404);
  });

  it('refuses the web pages of other sites, and names that lead here (DNS rebinding)', async () => {
    const foreign = { origin: 'https://evil.example' };
    const answer = await ask(open, '/api/v1/clients/x/disconnect', { method: 'POST', headers: foreign });
    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({ error: { code: 'FORBIDDEN' } });
    expect((await ask(open, '/api/v1/status', { headers: { origin: await urlOf(open, 'http') } })).status).toBe(200);
    expect(await statusWithHost('evil.example')).toBe(403);
    expect(await statusWithHost('localhost:1')).toBe(200);
  });

  /** fetch sets Host itself. */
  async function statusWithHost(host: string): Promise<number | undefined> {
    const { request } = await import('node:http');
    const url = new URL(`${await urlOf(open, 'http')}/api/v1/status`);
    return new Promise((done, failed) => {
      const asking = request(url, { headers: { host } }, (response) => {
        response.resume();
        done(response.statusCode);
      });
      asking.on('error', failed);
      asking.end();
    });
  }
});

describe('tokens', () => {
  const statuses = async (path: string, method = 'GET'): Promise<number[]> => {
    const answers = [];
    for (const token of [undefined, 'wrong-token-0123456789', VIEWER, OPERATOR])
      answers.push((await ask(guarded, path, token === undefined ? { method } : { method, token })).status);
    return answers;
  };

  it('are asked for, and give the rights of their role', async () => {
    expect(await statuses('/api/v1/status')).toEqual([401, 401, 200, 200]);
    expect(await statuses('/metrics')).toEqual([401, 401, 200, 200]);
    expect(await statuses('/api/v1/clients/x/disconnect', 'POST')).toEqual([401, 401, 403, 404]);
    expect(await statuses('/nowhere')).toEqual([401, 401, 403, 404]);
    expect((await ask(guarded, '/api/v1/status')).headers.get('www-authenticate')).toContain('Bearer');
  });

  it('are not needed for the health, which then names no addresses', async () => {
    expect(await statuses('/healthz')).toEqual([200, 200, 200, 200]);
    expect(await statuses('/readyz')).toEqual([200, 200, 200, 200]);
    expect(await (await ask(guarded, '/readyz')).text()).not.toContain('127.0.0.1');
    expect(await (await ask(guarded, '/readyz', { token: VIEWER })).text()).toContain('127.0.0.1');
  });

  it('are compared as a whole, and every one of them', () => {
    const tokens = new Tokens([
      { name: 'a', role: 'viewer', token: VIEWER },
      { name: 'b', role: 'operator', token: OPERATOR },
    ]);
    expect(tokens.callerOf(OPERATOR)).toEqual({ name: 'b', role: 'operator' });
    for (const near of [OPERATOR.slice(0, -1), `${OPERATOR}x`, OPERATOR.toUpperCase(), ''])
      expect(tokens.callerOf(near)).toBeUndefined();
  });

  it('are not asked for on the admin socket, which only the owner of the data can open', async () => {
    expect(await askAdmin(join(directory, 'guarded'), '/api/v1/ledger')).toMatchObject({ imbalance: 0 });
    expect(parseMetrics((await askAdmin(join(directory, 'guarded'), '/metrics')) as string).size).toBeGreaterThan(50);
  });
});

describe('the API', () => {
  it('shows everything without a secret', async () => {
    for (const path of [
      'status',
      'buffer',
      'lanes',
      'ledger',
      'listeners',
      'routes',
      'dead-letters',
      'sessions',
      'config',
    ]) {
      const answer = await ask(guarded, `/api/v1/${path}`, { token: VIEWER });
      expect(answer.status, path).toBe(200);
      const text = await answer.text();
      for (const secret of ['hunter2', VIEWER, OPERATOR]) expect(text, path).not.toContain(secret);
    }
    expect(await (await ask(open, '/api/v1/config')).json()).toMatchObject({ kafka: { sasl: { password: '***' } } });
  });

  it('answers what it does not know, or cannot read, with an error that says so', async () => {
    expect(await (await ask(open, '/api/v1/nothing')).json()).toMatchObject({ error: { code: 'NOT_FOUND' } });
    expect((await ask(open, '/api/v1/clients?limit=100000')).status).toBe(400);
    expect((await ask(open, '/api/v1/clients?offset=-1')).status).toBe(400);
  });

  it('lists clients in pages, finds them, and ends their connections', async () => {
    for (let n = 0; n < 5; n++) await device(open, `pump-${n}`, n % 2 === 0 ? 5 : 4);
    const valve = await device(open, 'valve');
    await valve.subscribeAsync({ 'devices/valve/commands': { qos: 1 }, 'all/#': { qos: 0 } });
    const list = async (query: string): Promise<{ total: number; items: { clientId: string }[] }> =>
      (await (await ask(open, `/api/v1/clients?${query}`)).json()) as { total: number; items: { clientId: string }[] };

    const pumps = await list('search=PUMP&offset=2&limit=2');
    expect(pumps.total).toBe(5);
    expect(pumps.items.map(({ clientId }) => clientId)).toEqual(['pump-2', 'pump-3']);
    expect((await list('search=valve')).items).toMatchObject([
      { clientId: 'valve', user: '', protocol: '5', listener: 'mqtt', subscriptions: 2, cleanSession: true },
    ]);
    expect(await (await ask(open, '/api/v1/subscriptions?search=all/')).json()).toEqual({
      total: 1,
      items: [{ clientId: 'valve', filter: 'all/#', qos: 0 }],
    });

    let reasonCode: number | undefined;
    valve.on('disconnect', (packet) => (reasonCode = packet.reasonCode));
    expect((await ask(open, '/api/v1/clients/valve/disconnect', { method: 'POST' })).status).toBe(200);
    await eventually(() => !valve.connected);
    // Administrative action (MQTT 5.0 §3.14.2.1).
    expect(reasonCode).toBe(0x98);
    await eventually(async () => (await list('search=valve')).total === 0);
  });
});

describe('/readyz', () => {
  const parts = (status: SluiceStatus): Record<string, boolean> =>
    Object.fromEntries(partsOf(status).map(({ name, ok }) => [name, ok]));

  it('names every part, and is ready while messages are taken', async () => {
    const answer = await ask(open, '/readyz');
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      ready: true,
      parts: [
        { name: 'sluice', ok: true },
        { name: 'listener mqtt', ok: true },
        { name: 'listener http', ok: true },
        { name: 'store', ok: true },
        { name: 'kafka', ok: true, required: false },
        { name: 'lease', ok: true },
      ],
    });
  });

  it('says which part does not work', async () => {
    const status = await open.status();
    expect(parts({ ...status, buffer: { ...status.buffer, error: 'the buffer is full' } })['store']).toBe(false);
    expect(parts({ ...status, kafka: { ...status.kafka, error: 'unreachable' } })['kafka']).toBe(false);
    expect(parts({ ...status, state: 'stopping' })['sluice']).toBe(false);
    const listeners = status.listeners.map((listener) => ({ ...listener, accepting: listener.name === 'mqtt' }));
    expect(parts({ ...status, listeners })['listener http']).toBe(false);
    const shards = status.buffer.shards.map((shard) => ({ ...shard, owner: undefined }));
    expect(parts({ ...status, buffer: { ...status.buffer, shards } })['lease']).toBe(false);
  });
});

describe('the OpenAPI description', () => {
  interface Operation {
    summary?: string;
    'x-role'?: string;
    parameters: { name: string; in: string; required: boolean }[];
    responses: Record<string, unknown>;
  }

  it('describes every route, each with its parameters, answers and role', async () => {
    const document = (await (await ask(open, '/api/v1/openapi.json')).json()) as {
      openapi: string;
      paths: Record<string, Record<string, Operation>>;
    };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        '/healthz',
        '/readyz',
        '/metrics',
        '/api/v1/clients',
        '/api/v1/clients/{clientId}/disconnect',
      ]),
    );
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const what = `${method} ${path}`;
        expect(operation.summary, what).toBeTruthy();
        expect(Object.keys(operation.responses).length, what).toBeGreaterThan(0);
        const inPath = operation.parameters.filter((each) => each.in === 'path').map(({ name }) => name);
        expect(
          [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
          what,
        ).toEqual(inPath);
        const health = path === '/healthz' || path === '/readyz';
        expect(operation['x-role'], what).toEqual(health ? undefined : expect.stringMatching(/^(viewer|operator)$/));
      }
    }
  });
});
