import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSluice, type Sluice, type SluiceConfigInput } from '../../../src/index.ts';
import { createNullSink } from '../../../src/kafka/null-sink.ts';
import { startRedis, type Redis } from '../../support/services.ts';

export type SessionStore = 'memory' | 'level' | 'redis';

/** Everything but Kafka, in this process: what a device meets on a port of its own. Every topic is routed. */
export class WholeSluice {
  readonly #redis: Redis | undefined;
  readonly #directory: string;
  readonly #config: SluiceConfigInput;
  #sluice: Sluice | undefined;
  /** The same over all its starts. */
  port = 0;

  private constructor(directory: string, redis: Redis | undefined, config: SluiceConfigInput) {
    this.#directory = directory;
    this.#redis = redis;
    this.#config = config;
  }

  static async start(store: SessionStore, config: SluiceConfigInput = {}): Promise<WholeSluice> {
    const directory = await mkdtemp(join(tmpdir(), 'sluice-mqtt-'));
    const redis = store === 'redis' ? await startRedis() : undefined;
    const whole = new WholeSluice(directory, redis, {
      routes: [{ from: '#', to: 'mqtt.messages' }],
      log: { level: process.env['SLUICE_LOG'] === undefined ? 'silent' : 'debug' },
      ...config,
      buffer: { store, path: directory, ...(redis === undefined ? {} : { url: redis.url }), ...config.buffer },
    });
    try {
      await whole.open();
    } catch (error) {
      await whole.stop();
      throw error;
    }
    return whole;
  }

  /** Again after close(): with what the store has kept. */
  async open(): Promise<void> {
    const listeners = { ws: false, ...this.#config.listeners, mqtt: { port: this.port } } as const;
    const sluice = createSluice({ ...this.#config, listeners }, { sink: createNullSink() });
    sluice.on('listening', ([first]) => (this.port = first?.port ?? 0));
    await sluice.start();
    this.#sluice = sluice;
  }

  async close(): Promise<void> {
    const sluice = this.#sluice;
    this.#sluice = undefined;
    await sluice?.stop();
  }

  async stop(): Promise<void> {
    await this.close();
    await this.#redis?.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
