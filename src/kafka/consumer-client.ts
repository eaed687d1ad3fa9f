/** kafkajs as its authors meant it to be used, for what wire.ts is not for: consumer groups, and single records. */
import { createRequire } from 'node:module';
import type * as Kafkajs from 'kafkajs';
import { unpack } from './read-batch.ts';
import { kafkaSettings, type KafkaLog, type KafkaOptions, type KafkaSaslOptions, type LogLevel } from './options.ts';

const require = createRequire(import.meta.url);

const CODECS = { Snappy: 2, LZ4: 3, ZSTD: 4 } as const;

export function kafkajsClient(options: KafkaOptions, log: KafkaLog): Kafkajs.Kafka {
  process.env['KAFKAJS_NO_PARTITIONER_WARNING'] ??= '1';
  const { Kafka, CompressionCodecs, CompressionTypes, logLevel } = require('kafkajs') as typeof Kafkajs;
  // It reads gzip by itself, and has no other codec.
  for (const [name, attribute] of Object.entries(CODECS)) {
    const type = CompressionTypes[name as keyof typeof CODECS];
    CompressionCodecs[type as Kafkajs.CompressionTypes.LZ4] = () => ({
      compress: () => Promise.reject(new Error(`${name} is not written here`)),
      decompress: (bytes: Buffer) => Promise.resolve(unpack(bytes, attribute)),
    });
  }
  const settings = kafkaSettings(options);
  const levels: Partial<Record<Kafkajs.logLevel, LogLevel>> = {
    [logLevel.ERROR]: 'info',
    [logLevel.WARN]: 'debug',
    [logLevel.INFO]: 'debug',
  };
  return new Kafka({
    brokers: [...options.brokers],
    clientId: settings.clientId,
    connectionTimeout: settings.connectionTimeoutMs,
    requestTimeout: settings.requestTimeoutMs,
    ssl: settings.tls === undefined ? false : (settings.tls as Exclude<Kafkajs.KafkaConfig['ssl'], undefined>),
    ...(settings.sasl === undefined ? {} : { sasl: saslOptions(settings.sasl) }),
    retry: { initialRetryTime: 200, maxRetryTime: 5_000, retries: 4 },
    logLevel: logLevel.WARN,
    // What ends a session is told by whoever opened it; the rest is detail.
    logCreator:
      () =>
      ({ level, log: { message, timestamp: _, ...detail } }) =>
        log(levels[level] ?? 'debug', message, withoutStack(detail)),
  });
}

function withoutStack({ stack: _, ...detail }: Record<string, unknown>): Record<string, unknown> {
  return detail;
}

function saslOptions(sasl: KafkaSaslOptions): Kafkajs.SASLOptions {
  if (sasl.mechanism !== 'oauthbearer') return { ...sasl };
  return { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: await sasl.token() }) };
}
