/** One sluice or two with all that is around them: store, Kafka, proxies, devices. Made for a scenario, broken by it. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis as RedisClient } from 'ioredis';
import kafkajs from 'kafkajs';
import { consume, type Consumed } from '../support/kcat.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { startKafka, startRedis, uniqueTopic, type Kafka, type Redis } from '../support/services.ts';
import type { DeviceLog } from './checker.ts';
import type { Link } from './faults.ts';
import { Fleet, type FleetCounts, type FleetOptions } from './fleet.ts';
import { Shim } from './shim.ts';
import { Supervisor } from './supervisor.ts';
import type { SluiceStatus } from '../../src/status.ts';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes, ConfigResourceTypes } = kafkajs;
const run = promisify(execFile);

export type StoreName = 'level' | 'redis';

export interface WorldOptions {
  readonly store: StoreName;
  readonly kafkaNodes?: 1 | 3;
  /** On Redis: so many processes with one buffer; devices are dealt out to them. */
  readonly sluices?: 1 | 2;
  readonly fleet: Omit<Partial<FleetOptions>, 'urls' | 'topic'>;
  /** Values of sluice.yaml by dotted path. */
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly partitions?: number;
  readonly topicConfig?: Readonly<Record<string, string | number>>;
  /** Proxies before Redis, Kafka and sluice. Without them a run is faster, and those links cannot be disturbed. */
  readonly proxied?: boolean;
  /** Preload the fault shim into that process. */
  readonly shim?: 'sluice' | 'redis';
  /** Added to each sync of that process. */
  readonly syncDelayMs?: number;
  /** sluice's data on a file system of that size. */
  readonly diskMb?: number;
  /** sluice is a user whose access can be revoked. */
  readonly access?: boolean;
  /** Every second device publishes to a topic of its own, which is left in peace. */
  readonly peacefulTopic?: boolean;
}

/** Read and not settled, which bounds what a crash may repeat. The least that can be set. */
export const WINDOW_BYTES = 1024 * 1024;
export const DEVICES = 40;
const USER = { name: 'sluice', password: 'campaign' };
const REDIS_TIMEOUT_MS = 5_000;

export class World {
  readonly options: WorldOptions;
  readonly topic = uniqueTopic('faults');
  readonly peacefulTopic = uniqueTopic('peaceful');
  readonly deadLetterTopic = uniqueTopic('dead-letters');
  /** Read before something removed them from Kafka on purpose. */
  readonly kept: { readonly records: Consumed[]; readonly deadLetters: Consumed[] } = { records: [], deadLetters: [] };
  /** What a store that was wiped on purpose may have taken with it. */
  mayBeLost: readonly DeviceLog[] = [];
  partitions: number;
  kafka!: Kafka;
  redis: Redis | undefined;
  shim: Shim | undefined;
  fleet!: Fleet;
  /** What of the file system stands in for a disk that others fill. */
  diskDirectory: string | undefined;
  readonly sluices: Supervisor[] = [];
  readonly #deviceProxies: Proxy[] = [];
  readonly #temporary: string[] = [];

  private constructor(options: WorldOptions) {
    this.options = options;
    this.partitions = options.partitions ?? 4;
  }

  /** All of it, running, and the devices publishing. */
  static async create(options: WorldOptions): Promise<World> {
    const world = new World(options);
    try {
      await world.#build();
    } catch (error) {
      await world.discard();
      throw error;
    }
    return world;
  }

  proxies(link: Link): readonly Proxy[] {
    switch (link) {
      case 'redis':
        return this.redis?.proxy === undefined ? [] : [this.redis.proxy];
      case 'kafka':
        return this.kafka.proxies;
      case 'devices':
        return this.#deviceProxies;
    }
  }

  counts(): Promise<FleetCounts> {
    return this.fleet.counts();
  }

  rss(): number {
    return this.sluices.reduce((sum, { process }) => {
      try {
        return sum + (process.running ? process.rss() : 0);
      } catch {
        return sum;
      }
    }, 0);
  }

  /**
   * The status of a sluice that knows all its shards; undefined while none does. The ledger of a shared buffer is the same in
   * each.
   */
  async status(): Promise<SluiceStatus | undefined> {
    for (const { process } of this.sluices) {
      const status = await process.status().catch(() => undefined);
      if (status !== undefined && status.buffer.shards.length > 0 && status.buffer.error === undefined) return status;
    }
    return undefined;
  }

  /** sluice knows of nothing that keeps it from delivering. */
  async delivers(): Promise<boolean> {
    const kafka = (await this.status())?.kafka;
    return kafka !== undefined && kafka.error === undefined && kafka.lanes.every(({ error }) => error === undefined);
  }

  /** Commands straight to Redis, past the proxy. */
  async redisCommand(...command: [string, ...string[]]): Promise<unknown> {
    const client = new RedisClient(this.redis!.directUrl, {
      lazyConnect: true,
      commandTimeout: REDIS_TIMEOUT_MS,
      retryStrategy: () => null,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return await client.call(...command);
    } finally {
      client.disconnect();
    }
  }

  /** Starts Redis, with the shim where it is to be there. */
  async startRedisProcess(): Promise<void> {
    await this.#withRedisShim(() => this.redis!.start());
  }

  async setTopicConfig(config: Readonly<Record<string, string | number>>): Promise<void> {
    const configEntries = Object.entries({ ...this.options.topicConfig, ...config }).map(([name, value]) => ({
      name,
      value: String(value),
    }));
    await this.kafka.admin((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: this.topic, configEntries }],
      }),
    );
  }

  async createTopic(): Promise<void> {
    await this.kafka.createTopic(this.topic, this.partitions, { config: { ...this.options.topicConfig } });
  }

  async mayWrite(topic: string, allowed: boolean): Promise<void> {
    const acl = {
      resourceType: AclResourceTypes.TOPIC,
      resourceName: topic,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: `User:${USER.name}`,
      host: '*',
      operation: AclOperationTypes.WRITE,
      permissionType: AclPermissionTypes.ALLOW,
    };
    await this.kafka.admin(async (admin) => {
      if (allowed) await admin.createAcls({ acl: [acl] });
      else await admin.deleteAcls({ filters: [acl] });
    });
  }

  /** How many records the topic that is left in peace has. */
  async peacefulRecords(): Promise<number> {
    if (this.options.peacefulTopic !== true) return 0;
    const offsets = await this.kafka.admin((admin) => admin.fetchTopicOffsets(this.peacefulTopic));
    return offsets.reduce((sum, { offset }) => sum + Number(offset), 0);
  }

  /** Keeps what is in the topic now for the judge: something is about to remove it. */
  async keepRecords(): Promise<void> {
    this.kept.records.push(...(await consume(this.kafka.directBrokers, this.topic)));
  }

  async discard(): Promise<void> {
    this.fleet?.stop();
    await Promise.all(this.sluices.map((sluice) => sluice.discard()));
    await Promise.all(this.#deviceProxies.map((proxy) => proxy.stop()));
    await Promise.all([this.redis?.proxy?.stop(), ...(this.kafka?.proxies ?? []).map((proxy) => proxy.stop())]);
    await Promise.all([this.redis?.kill(), this.kafka?.kill()]);
    await this.shim?.discard();
    if (this.diskDirectory !== undefined) await run('umount', ['-l', this.diskDirectory]).catch(() => undefined);
    for (const directory of this.#temporary) await rm(directory, { recursive: true, force: true });
  }

  async #build(): Promise<void> {
    const { options } = this;
    const proxied = options.proxied ?? true;
    await this.#buildStore(proxied);
    const kafka = (this.kafka = await startKafka({
      nodes: options.kafkaNodes ?? 1,
      proxied: proxied && options.access !== true,
      ...(options.access === true
        ? {
            users: { [USER.name]: USER.password },
            properties: {
              'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
              // Whoever comes without a name is the harness, and the nodes among themselves.
              'super.users': 'User:ANONYMOUS',
            },
          }
        : {}),
    }));
    await this.createTopic();
    if (options.peacefulTopic === true) await kafka.createTopic(this.peacefulTopic, this.partitions);
    await kafka.createTopic(this.deadLetterTopic, 1);
    if (options.access === true) await this.#grant();
    await this.#buildSluices();
    const urls: string[] = [];
    for (const { process } of this.sluices) {
      if (!proxied) urls.push(process.url);
      else {
        const proxy = await startProxy(process.port);
        this.#deviceProxies.push(proxy);
        urls.push(`mqtt://127.0.0.1:${proxy.port}`);
      }
    }
    this.fleet = await Fleet.start({
      client: 'socket',
      protocolVersion: 'both',
      devices: DEVICES,
      ...options.fleet,
      urls,
      topic: ['devices/{device}/telemetry', ...(options.peacefulTopic === true ? ['peaceful/{device}/telemetry'] : [])],
    });
  }

  async #buildStore(proxied: boolean): Promise<void> {
    const { store, diskMb, shim } = this.options;
    if (diskMb !== undefined) {
      this.diskDirectory = await this.#temporaryDirectory('disk');
      await run('mount', ['-t', 'tmpfs', '-o', `size=${diskMb}m`, 'tmpfs', this.diskDirectory]);
    }
    if (store === 'level') return;
    if (shim === 'redis') {
      const directory = await this.#temporaryDirectory('redis');
      this.shim = await Shim.prepare(directory);
      await this.#withRedisShim(async () => {
        this.redis = await startRedis({ proxied, directory });
      });
      await this.shim.syncDelay(this.options.syncDelayMs ?? 0);
    } else this.redis = await startRedis({ proxied });
  }

  /** Services hand the environment on that they are started in; the shim is meant for this one alone. */
  async #withRedisShim(start: () => Promise<void>): Promise<void> {
    const env = this.options.shim === 'redis' ? (this.shim?.env ?? {}) : {};
    Object.assign(process.env, env);
    try {
      await start();
    } finally {
      for (const name of Object.keys(env)) Reflect.deleteProperty(process.env, name);
    }
  }

  async #buildSluices(): Promise<void> {
    const { options, kafka, redis } = this;
    const path = join(this.diskDirectory ?? (await this.#temporaryDirectory('data')), 'data');
    if (options.shim === 'sluice') {
      this.shim = await Shim.prepare(path);
      await this.shim.syncDelay(options.syncDelayMs ?? 0);
    }
    const sasl = {
      'kafka.sasl.mechanism': 'plain',
      'kafka.sasl.username': USER.name,
      'kafka.sasl.password': USER.password,
    };
    const namespace = uniqueTopic('faults');
    for (let index = 0; index < (options.sluices ?? 1); index++) {
      const sluice = await Supervisor.prepare({
        brokers: options.access === true ? kafka.saslBrokers : kafka.brokers,
        path: index === 0 ? path : `${path}-${index}`,
        routes: [
          { name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: this.topic },
          { name: 'peaceful', from: 'peaceful/{deviceId}/telemetry', to: this.peacefulTopic },
        ],
        ...(redis === undefined ? {} : { redisUrl: redis.url }),
        settings: {
          'deadLetter.topic': this.deadLetterTopic,
          'forward.windowBytes': WINDOW_BYTES,
          // What the harness removes must not come back with other partitions.
          'kafka.createTopics.enabled': 'false',
          ...(redis === undefined ? {} : { 'buffer.namespace': namespace }),
          ...(options.access === true ? sasl : {}),
          ...options.settings,
        },
        ...(options.shim === 'sluice' ? { env: this.shim!.env } : {}),
      });
      this.sluices.push(sluice);
      await sluice.start();
    }
  }

  async #grant(): Promise<void> {
    for (const topic of [this.topic, this.peacefulTopic, this.deadLetterTopic]) await this.mayWrite(topic, true);
  }

  async #temporaryDirectory(name: string): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), `sluice-faults-${name}-`));
    this.#temporary.push(directory);
    return directory;
  }
}
