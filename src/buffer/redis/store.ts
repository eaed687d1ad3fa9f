/**
 * The buffer in Redis, shared by many processes: a stream per shard, and every change of it one script.
 *
 * Three connections: one for appends, so that nothing delays them; one for reading, settling and leases; one that listens for
 * wake-ups. An append belongs to the connection it was opened on: when that is gone, what was not answered has an unknown
 * outcome, and the shard must be opened again before the next one. Opening registers a new token and forgets the former, so
 * an append that Redis gets to see late is refused, and cannot come behind newer messages.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Redis } from 'ioredis';
import { SluiceError } from '../../errors.ts';
import { newLogId, type LogIdentity } from '../epochs.ts';
import { fenced, stale } from '../shard-log.ts';
import { ShardView } from '../shard-view.ts';
import type {
  AppendOutcome,
  AppendRequest,
  BufferStore,
  Lease,
  ParkedEntry,
  Settlement,
  ShardState,
  ShardStats,
  StoredFrame,
  StoreEvents,
  StoreOpening,
} from '../store.ts';
import { appendScript } from './append.lua.ts';
import { RedisConnection } from './connection.ts';
import { redisDurability } from './durability.ts';
import { shardKeys, wakeChannelPrefix, type ShardKeys } from './keys.ts';
import { acquireScript, renewScript, yieldScript } from './lease.lua.ts';
import { openScript } from './open.lua.ts';
import { readParkedScript, readScript, statsScript } from './read.lua.ts';
import { epochsOf, framesOf, identityOf, parkingStatesOf, pairsOf, statsOf } from './replies.ts';
import { settleScript } from './settle.lua.ts';
import { settlementArguments } from './settlement.ts';

export interface RedisStoreOptions {
  readonly url: string;
  /** Prefix of all keys; processes with the same one share the buffer. Default 'sluice'. */
  readonly namespace?: string;
  readonly shards: number;
  readonly maxBytes: number;
  /** Open although Redis is known to lose acknowledged messages in a crash. Default false. */
  readonly allowWeakDurability?: boolean;
  /** A command that takes longer fails, and its connection with it. Default 5000. */
  readonly commandTimeoutMs?: number;
}

const FORMAT = '1';
const COMMAND_TIMEOUT_MS = 5_000;
const APPENDERS_MAX = 1_000;
const APPENDER_AGE_MAX_MS = 24 * 3600 * 1000;
const EPOCH_CHECKS_MAX = 3;
const NO_CONNECTION = -1;
const WAKE_RETRY_MAX_MS = 2_000;

/** On which connection, and as whom, a shard was opened for appending. */
interface Opened {
  readonly generation: number;
  readonly token: string;
}

export class RedisStore implements BufferStore {
  readonly kind = 'redis';
  readonly shards: number;
  readonly maxBytes: number;
  readonly #options: RedisStoreOptions;
  readonly #process = `${hostname()}:${process.pid}:${randomBytes(6).toString('hex')}`;
  readonly #wakePrefix: string;
  readonly #keys: ShardKeys[];
  readonly #views: ShardView[];
  readonly #opened: (Opened | undefined)[] = [];
  #appends: RedisConnection | undefined;
  #work: RedisConnection | undefined;
  #wakes: Redis | undefined;

  constructor(options: RedisStoreOptions) {
    this.shards = options.shards;
    this.maxBytes = options.maxBytes;
    this.#options = options;
    const namespace = options.namespace ?? 'sluice';
    this.#wakePrefix = wakeChannelPrefix(namespace);
    this.#keys = Array.from({ length: options.shards }, (_, shard) => shardKeys(namespace, shard));
    this.#views = Array.from({ length: options.shards }, (_, shard) => new ShardView(shard));
  }

  async open(events: StoreEvents): Promise<StoreOpening> {
    const commandTimeoutMs = this.#options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
    const { url } = this.#options;
    let told = true;
    const available = (is: boolean, reason: string): void => {
      if (told !== is) events.availability((told = is), reason);
    };
    const appends = new RedisConnection(
      { url, name: 'sluice-appends', commandTimeoutMs, scripts: [appendScript, openScript] },
      {
        ready: () => available(true, 'Redis is connected again'),
        away: (reason) => available(false, reason),
      },
    );
    const work = new RedisConnection(
      {
        url,
        name: 'sluice-work',
        commandTimeoutMs,
        scripts: [acquireScript, renewScript, yieldScript, settleScript, readScript, readParkedScript, statsScript],
      },
      { ready: () => {}, away: () => {} },
    );
    this.#appends = appends;
    this.#work = work;
    try {
      await appends.connect();
      await work.connect();
      const { shortcomings, ...durability } = await redisDurability(work.client);
      if (shortcomings.length > 0 && this.#options.allowWeakDurability !== true) {
        throw new SluiceError(
          'STORE_REFUSED',
          `Redis ${appends.address} would lose acknowledged messages: ${shortcomings.join('; ')}`,
          {
            hint: 'Change these settings of Redis, or accept the loss with buffer.allowWeakDurability: true.',
          },
        );
      }
      const shards: ShardState[] = [];
      for (const { shard } of this.#views) shards.push(await this.reopen(shard, 0));
      this.#wakes = await this.#listen(events);
      return { durability, shards };
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async append(request: AppendRequest): Promise<AppendOutcome> {
    const { shard, qos2Clear, qos2Add, qos2Remove } = request;
    const connection = this.#appendConnection();
    const opened = this.#opened[shard];
    if (opened === undefined) throw stale(shard, 'the shard is not open');
    // Another connection may lead to another server, one whose log ends earlier: it is opened first, and looked at.
    if (connection.ready && opened.generation !== connection.generation) {
      throw stale(shard, 'the connection to Redis is a new one');
    }
    const keys = this.#keys[shard]!;
    const reply = (await connection.run(
      appendScript,
      [
        keys.meta,
        keys.log,
        keys.appenders,
        keys.lease,
        ...qos2Clear.map((clientId) => keys.qos2(clientId)),
        ...qos2Add.map(({ clientId }) => keys.qos2(clientId)),
        ...qos2Remove.map(({ clientId }) => keys.qos2(clientId)),
      ],
      [
        opened.token,
        request.sequence,
        request.logId,
        Math.floor(this.maxBytes / this.shards),
        request.frame === undefined ? 0 : request.count,
        request.frame ?? '',
        this.#process,
        this.#wakePrefix,
        shard,
        qos2Clear.length,
        qos2Add.length,
        qos2Remove.length,
        ...qos2Add.map(({ packetId }) => packetId),
        ...qos2Remove.map(({ packetId }) => packetId),
        ...(request.cursors === undefined ? [] : Object.entries(request.cursors).flat()),
      ],
    )) as readonly [string, ...(string | number)[]];
    switch (reply[0]) {
      case 'committed':
        this.#views[shard]!.saw(Number(reply[1]));
        return { kind: 'committed', base: Number(reply[1]), bytes: Number(reply[2]) };
      case 'full':
        return { kind: 'full' };
      case 'duplicate':
        return { kind: 'duplicate', indexes: reply.slice(1).map(Number) };
      default:
        throw stale(shard, String(reply[1]));
    }
  }

  async reopen(shard: number, knownHead: number): Promise<ShardState> {
    const connection = this.#appendConnection();
    const keys = this.#keys[shard]!;
    const view = this.#views[shard]!;
    const { seen } = view;
    const runId = await connection.runId();
    const { generation } = connection;
    const token = randomBytes(12).toString('base64url');
    const reply = (await connection.run(
      openScript,
      [keys.meta, keys.log, keys.appenders],
      [
        FORMAT,
        this.shards,
        runId,
        token,
        this.#opened[shard]?.token ?? '',
        knownHead,
        newLogId(),
        APPENDER_AGE_MAX_MS,
        APPENDERS_MAX,
      ],
    )) as readonly [string, string, string, number, number];
    if (reply[0] === 'format') throw formatError(connection.address, reply[1]);
    if (reply[0] === 'shards') throw shardsError(connection.address, reply[1], this.shards);
    if (generation !== connection.generation) {
      throw new SluiceError(
        'STORE_UNAVAILABLE',
        `Redis ${connection.address}: the connection changed while shard ${shard} was opened`,
      );
    }
    this.#opened[shard] = { generation, token };
    const [, origin, epochs, head, foundHead] = reply;
    const now: LogIdentity = { origin, epochs: epochsOf(epochs), head };
    const missing = view.reopened({ ...now, head: foundHead }, now, knownHead, seen);
    return { shard, epochs: now.epochs, head, missing };
  }

  async read(shard: number, from: number, maxBytes: number): Promise<StoredFrame[]> {
    const keys = this.#keys[shard]!;
    const view = this.#views[shard]!;
    const { seen } = view;
    const reply = await this.#workConnection().run(
      readScript,
      [keys.meta, keys.log],
      [from, maxBytes, view.logId],
      'buffers',
    );
    const [flat, origin, epochs, head] = reply as readonly [Buffer[], Buffer?, Buffer?, Buffer?];
    if (origin !== undefined) view.learn(identityOf(String(origin), String(epochs), Number(String(head))), seen);
    const frames = framesOf(flat);
    const last = frames.at(-1);
    if (last !== undefined) view.saw(last.base);
    return frames;
  }

  async readParked(shard: number, topic: string, after: number, maxBytes: number): Promise<ParkedEntry[]> {
    const keys = [this.#keys[shard]!.park(topic)];
    const reply = (await this.#workConnection().run(readParkedScript, keys, [after, maxBytes], 'buffers')) as Buffer[];
    return framesOf(reply).map(({ base, bytes }) => ({ position: base, bytes }));
  }

  async acquire(shard: number, ttlMs: number): Promise<Lease | undefined> {
    const keys = this.#keys[shard]!;
    const view = this.#views[shard]!;
    const { seen } = view;
    const ask = async (): Promise<readonly unknown[]> =>
      (await this.#workConnection().run(
        acquireScript,
        [keys.meta, keys.lease, keys.parked, keys.marks],
        [this.#process, Math.max(1, Math.ceil(ttlMs))],
      )) as readonly unknown[];
    let reply = await ask();
    if (reply[0] === 'no log') {
      await this.#openEmptied(shard);
      reply = await ask();
    }
    if (reply[0] !== 'ok') return undefined;
    const [, token, released, trimmed, settlements, origin, epochs, head, parked, marks] = reply as readonly [
      string,
      number,
      number,
      number,
      number,
      string,
      string,
      number,
      string[],
      string[],
    ];
    const now = identityOf(origin, epochs, head);
    view.adopt(now, now, seen);
    view.leased(token, settlements);
    return {
      shard,
      token,
      released: released + 1,
      trimmed,
      parked: parkingStatesOf(parked),
      marks: Object.fromEntries(pairsOf(marks)),
    };
  }

  async renew(lease: Lease, ttlMs: number): Promise<boolean> {
    const keys = this.#keys[lease.shard]!;
    const view = this.#views[lease.shard]!;
    for (let checks = 0; view.holds(lease) && checks < EPOCH_CHECKS_MAX; checks++) {
      const { seen } = view;
      const reply = (await this.#workConnection().run(
        renewScript,
        [keys.meta, keys.lease],
        [this.#process, Math.max(1, Math.ceil(ttlMs)), lease.token, view.logId],
      )) as readonly [string, string?, string?, number?];
      if (reply[0] === 'ok') return view.holds(lease);
      if (reply[0] === 'lost') break;
      view.learn(identityOf(reply[1]!, reply[2]!, reply[3]!), seen);
    }
    view.unlease(lease.token);
    return false;
  }

  async yield(lease: Lease): Promise<void> {
    this.#views[lease.shard]!.unlease(lease.token);
    await this.#workConnection().run(
      yieldScript,
      [this.#keys[lease.shard]!.lease],
      [`${lease.token} ${this.#process}`],
    );
  }

  async settle(lease: Lease, change: Settlement): Promise<void> {
    const { shard } = lease;
    const view = this.#views[shard]!;
    const number = view.numberOf(lease, change);
    const { keys, args } = settlementArguments(this.#keys[shard]!, change);
    for (let checks = 0; checks < EPOCH_CHECKS_MAX; checks++) {
      const { seen } = view;
      const reply = (await this.#workConnection().run(settleScript, keys, [
        lease.token,
        this.#process,
        view.logId,
        number,
        ...args,
      ])) as readonly [string, string?, string?, number?];
      if (reply[0] === 'ok') return;
      if (reply[0] === 'fenced') {
        view.unlease(lease.token);
        throw fenced(shard, reply[1]!);
      }
      // Redis was restarted, or the log is another one: if all that was read is still there, the owner goes on.
      view.learn(identityOf(reply[1]!, reply[2]!, reply[3]!), seen);
      if (!view.holds(lease)) throw fenced(shard, 'the log was rolled back or emptied');
    }
    view.unlease(lease.token);
    throw fenced(shard, 'the log changes its id again and again');
  }

  async stats(shard: number): Promise<ShardStats> {
    const { meta, parked, aside, lease } = this.#keys[shard]!;
    const reply = await this.#workConnection().run(statsScript, [meta, parked, aside, lease], []);
    return statsOf(shard, reply as readonly [string[], string[], number, string]);
  }

  async close(): Promise<void> {
    this.#wakes?.disconnect();
    this.#appends?.close();
    this.#work?.close();
    this.#wakes = undefined;
    this.#opened.length = 0;
  }

  /** The log is gone under us. It goes on as a new one; the next reopen() tells what is missing, and gives a token. */
  async #openEmptied(shard: number): Promise<void> {
    const view = this.#views[shard]!;
    const { missing } = await this.reopen(shard, view.seen);
    if (missing !== undefined) view.remember(missing);
    const { token } = this.#opened[shard]!;
    this.#opened[shard] = { generation: NO_CONNECTION, token };
  }

  /** A wake-up is a hint: the forwarder polls, and finds what is missed here. So nothing that fails here matters. */
  async #listen(events: StoreEvents): Promise<Redis> {
    const listener = new Redis(this.#options.url, {
      lazyConnect: true,
      connectionName: 'sluice-wakes',
      disableClientInfo: true,
      enableOfflineQueue: false,
      // ioredis would subscribe again without catching what that throws when the connection is lost in the middle.
      autoResubscribe: false,
      retryStrategy: (times) => Math.min(50 * 2 ** times, WAKE_RETRY_MAX_MS),
    });
    listener.on('error', () => {});
    listener.on('message', (_channel: string, shard: string) => events.appended(Number(shard)));
    let missed = false;
    listener.on('ready', () => {
      listener.subscribe(`${this.#wakePrefix}${this.#process}`).then(
        () => {
          if (missed) for (const { shard } of this.#views) events.appended(shard);
          missed = true;
        },
        () => {},
      );
    });
    await listener.connect().catch(() => {});
    return listener;
  }

  #appendConnection(): RedisConnection {
    if (this.#appends === undefined) throw new SluiceError('STORE_UNAVAILABLE', 'the buffer store is not open');
    return this.#appends;
  }

  #workConnection(): RedisConnection {
    if (this.#work === undefined) throw new SluiceError('STORE_UNAVAILABLE', 'the buffer store is not open');
    return this.#work;
  }
}

function formatError(address: string, found: string): SluiceError {
  return new SluiceError(
    'STORE_FORMAT',
    `the buffer in Redis ${address} has format ${found}; this sluice reads format ${FORMAT}`,
  );
}

function shardsError(address: string, found: string, configured: number): SluiceError {
  return new SluiceError(
    'SHARD_COUNT_MISMATCH',
    `the buffer in Redis ${address} was made with ${found} shards, and ${configured} are configured`,
    {
      hint: `Set buffer.shards: ${found}. To change the number, let it drain (sluice status shows 0 buffered), stop sluice and use another buffer.namespace.`,
    },
  );
}
