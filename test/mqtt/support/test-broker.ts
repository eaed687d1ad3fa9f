import net from 'node:net';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { GroupCommit } from '../../../src/buffer/commit.ts';
import type { Authenticator } from '../../../src/auth/identity.ts';
import type { SluiceError } from '../../../src/errors.ts';
import { AccessControl } from '../../../src/auth/access/control.ts';
import { AccessRules, type AccessRule } from '../../../src/auth/access/rules.ts';
import type { Denial } from '../../../src/mqtt/access.ts';
import type { PublishLimits } from '../../../src/ingest/permission.ts';
import type { RateLimits } from '../../../src/ingest/throttle.ts';
import { Ingest } from '../../../src/ingest/ingest.ts';
import { createBroker, type MqttBroker, type MqttBrokerOptions } from '../../../src/mqtt/broker.ts';
import type { LoginRefusal } from '../../../src/mqtt/events.ts';
import { openSessions, type SessionOptions, type Sessions } from '../../../src/mqtt/sessions.ts';
import type { RouteSet } from '../../../src/payload/index.ts';
import type { Router } from '../../../src/routes/index.ts';
import { ScriptedStore } from './scripted-store.ts';

export interface TestBrokerOptions {
  readonly sessions?: SessionOptions | Sessions;
  readonly store?: ScriptedStore;
  readonly appendTimeoutMs?: number;
  readonly willGraceMs?: number;
  readonly willSweepMs?: number;
  readonly authenticator?: Authenticator;
  readonly publishLimits?: PublishLimits;
  readonly rates?: RateLimits;
  readonly acl?: readonly AccessRule[];
  readonly limits?: Partial<MqttBrokerOptions['limits']>;
  /** In place of topics under r/. */
  readonly routes?: RouteSet;
}

/** A broker on a port of its own. Topics under r/ are routed. */
export interface TestBroker {
  readonly broker: MqttBroker;
  readonly store: ScriptedStore;
  readonly port: number;
  readonly faults: string[];
  readonly refused: { clientId: string; error: SluiceError }[];
  readonly failed: { clientId: string; error: Error }[];
  readonly forbiddenWills: string[];
  readonly denied: Denial[];
  setRules(rules: readonly AccessRule[]): void;
  readonly logins: LoginRefusal[];
  /** A client of mqtt.js that is connected and does not reconnect by itself. Closed with the broker. */
  connect(options?: IClientOptions): Promise<MqttClient>;
  stop(): Promise<void>;
}

export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const store = options.store ?? new ScriptedStore();
  const commit = new GroupCommit(
    store.asStore(),
    { shard: 0, epochs: [{ logId: 'AAAAAAAAAAA', from: 1 }], head: store.head },
    {
      shard: 0,
      appendTimeoutMs: options.appendTimeoutMs ?? 10_000,
      softLimit: 1,
      pendingMaxBytes: 2 ** 26,
      frameMaxBytes: 2 ** 20,
    },
    { frameCommitted() {}, logReplaced() {}, health() {} },
  );
  const router = { routes: [], match: (topic: string) => (topic.startsWith('r/') ? [{}] : []) } as unknown as Router;
  const routes = options.routes ?? { router, values: [] };
  const ingest = new Ingest({
    commits: [commit],
    routes,
    ...(options.publishLimits === undefined ? {} : { limits: options.publishLimits }),
    ...(options.rates === undefined ? {} : { rates: options.rates }),
  });
  const faults: string[] = [];
  const refused: TestBroker['refused'] = [];
  const failed: TestBroker['failed'] = [];
  const forbiddenWills: string[] = [];
  const denied: Denial[] = [];
  const control = new AccessControl(options.acl ?? []);
  const logins: LoginRefusal[] = [];
  const fault = (where: string, error: unknown): void => {
    faults.push(`${where}: ${String(error)}`);
  };
  const given = options.sessions ?? { store: 'memory' };
  const sessions = 'emitter' in given ? given : await openSessions(given, fault);
  const broker = await createBroker({
    ingest,
    sessions,
    access: (clientId, identity) => control.of(clientId, identity),
    ...(options.authenticator === undefined ? {} : { authenticator: options.authenticator }),
    limits: { maxPacketSizeBytes: 262_144, connectTimeoutMs: 5_000, ...options.limits },
    ...(options.willGraceMs === undefined ? {} : { willGraceMs: options.willGraceMs }),
    ...(options.willSweepMs === undefined ? {} : { willSweepMs: options.willSweepMs }),
    events: {
      fault,
      connectionRefused: (clientId, error) => refused.push({ clientId, error }),
      connectionFailed: (clientId, _address, error) => failed.push({ clientId, error }),
      denied: (denial) => denied.push(denial),
      loginRefused: (refusal) => logins.push(refusal),
      willForbidden: (_clientId, topic) => forbiddenWills.push(topic),
    },
  });
  const server = net.createServer({ noDelay: true }, (socket) =>
    broker.handle(socket, { listener: 'mqtt', remoteAddress: socket.remoteAddress ?? '', remotePort: 0 }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const clients: MqttClient[] = [];
  return {
    broker,
    store,
    port,
    faults,
    refused,
    failed,
    forbiddenWills,
    denied,
    setRules: (rules) => {
      control.replace(new AccessRules(rules));
      broker.judgeAnew();
    },
    logins,
    connect: async (clientOptions = {}) => {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, ...clientOptions });
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    stop: async () => {
      for (const client of clients) client.end(true);
      server.close();
      await broker.close();
      commit.close();
    },
  };
}
