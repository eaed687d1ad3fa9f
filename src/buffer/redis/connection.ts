/**
 * One connection to Redis that never does on its own what was not asked of it: nothing is queued while it is away, nothing is
 * sent a second time, and what is not answered in time takes the connection with it.
 *
 *     connecting ──ready──> ready (generation + 1) ──closed, or a command timed out──> away ──backoff──> connecting
 *
 * `generation` tells one connection from the next: behind the next one may be another server.
 */
import { Redis } from 'ioredis';
import { SluiceError } from '../../errors.ts';
import { isReadOnlyReplica, redisError } from './errors.ts';
import type { Script } from './script.ts';

export interface ConnectionOptions {
  readonly url: string;
  /** Shown in CLIENT LIST. */
  readonly name: string;
  readonly commandTimeoutMs: number;
  readonly scripts: readonly Script[];
}

export interface ConnectionEvents {
  ready(): void;
  away(reason: string): void;
}

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;
const KEEP_ALIVE_MS = 10_000;

type Argument = string | number | Buffer;
type ScriptCall = (keys: number, ...args: Argument[]) => Promise<unknown>;

export class RedisConnection {
  readonly client: Redis;
  /** host:port, without credentials. */
  readonly address: string;
  generation = 0;
  readonly #events: ConnectionEvents;
  #ready = false;
  #closed = false;
  #corked = false;
  #lastError: unknown;
  #runId: { readonly generation: number; readonly id: Promise<string> } | undefined;

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#events = events;
    this.client = new Redis(options.url, {
      lazyConnect: true,
      connectionName: options.name,
      disableClientInfo: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: options.commandTimeoutMs,
      connectTimeout: options.commandTimeoutMs,
      // What is left unsent when we hang up is not to be sent.
      disconnectTimeout: 1,
      keepAlive: KEEP_ALIVE_MS,
      noDelay: true,
      retryStrategy: (times) => Math.min(RETRY_MIN_MS * 2 ** (times - 1), RETRY_MAX_MS),
    });
    const { host, port, path } = this.client.options;
    this.address = path ?? `${host ?? 'localhost'}:${port ?? 6379}`;
    for (const { name, lua } of options.scripts) this.client.defineCommand(name, { lua });
    this.client.on('error', (error: unknown) => (this.#lastError = error));
    this.client.on('ready', () => {
      this.generation += 1;
      this.#ready = true;
      this.#lastError = undefined;
      this.#events.ready();
    });
    this.client.on('close', () => this.#away('the connection was closed'));
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** The first connection. @throws SluiceError; nothing is tried again then. */
  async connect(): Promise<void> {
    try {
      await this.client.connect();
    } catch (error) {
      const failed = redisError(this.#lastError ?? error, this.address);
      this.close();
      throw failed;
    }
  }

  /** Scripts of one turn go out in one write. */
  async run(script: Script, keys: readonly string[], args: readonly Argument[], replies: 'text' | 'buffers' = 'text') {
    const call = (this.client as unknown as Record<string, ScriptCall>)[
      replies === 'text' ? script.name : `${script.name}Buffer`
    ]!;
    return this.ask(() => call.call(this.client, keys.length, ...keys, ...args));
  }

  /** @throws SluiceError */
  async ask<T>(command: () => Promise<T>): Promise<T> {
    if (!this.#ready) throw this.#unavailable();
    this.#cork();
    try {
      return await command();
    } catch (error) {
      const failed = redisError(error, this.address);
      if (failed.code === 'STORE_TIMEOUT' || isReadOnlyReplica(error)) this.drop(failed.message);
      throw failed;
    }
  }

  /** Of the server at the other end of this very connection; '' where it does not say. */
  async runId(): Promise<string> {
    if (this.#runId?.generation !== this.generation) {
      const id = this.ask(() => this.client.info('server')).then(
        (info) => /^run_id:(\w+)/m.exec(info)?.[1] ?? '',
        (error: unknown) => {
          this.#runId = undefined;
          if (error instanceof SluiceError && error.code === 'STORE_REFUSED') return '';
          throw error;
        },
      );
      this.#runId = { generation: this.generation, id };
    }
    return this.#runId.id;
  }

  /** Hangs up at once and connects anew: a late answer is not waited for, and what is unsent is not sent. */
  drop(reason: string): void {
    if (!this.#ready) return;
    this.#away(reason);
    this.client.stream.destroy();
  }

  close(): void {
    this.#closed = true;
    this.#ready = false;
    this.client.disconnect();
  }

  #away(reason: string): void {
    if (!this.#ready || this.#closed) return;
    this.#ready = false;
    this.#events.away(`Redis ${this.address}: ${reason}`);
  }

  #unavailable(): SluiceError {
    if (this.#closed) return new SluiceError('STORE_UNAVAILABLE', 'the buffer store is closed');
    const why = this.#lastError === undefined ? undefined : redisError(this.#lastError, this.address);
    // Not sent at all: whatever the server said when we knocked, it is the store that is away.
    return new SluiceError('STORE_OFFLINE', why?.message ?? `Redis ${this.address} is not connected`, {
      cause: why,
      ...(why === undefined ? {} : { hint: why.hint }),
    });
  }

  /** ioredis writes each command by itself; the shards' appends of one turn are to share a packet and a turn of Redis. */
  #cork(): void {
    if (this.#corked) return;
    const { stream } = this.client;
    this.#corked = true;
    stream.cork();
    process.nextTick(() => {
      this.#corked = false;
      stream.uncork();
    });
  }
}
