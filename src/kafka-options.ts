/** From the `kafka` section of the configuration to what src/kafka takes. */
import { readFileSync } from 'node:fs';
import type { KafkaConfig, SaslConfig } from './config/config.ts';
import { clientCredentials } from './kafka/oauth.ts';
import type { KafkaOptions, KafkaSaslOptions, KafkaTlsOptions } from './kafka/options.ts';

/** Reads the PEM files that `kafka.tls` names. */
export function kafkaOptions(config: KafkaConfig): KafkaOptions {
  return {
    brokers: config.brokers,
    clientId: config.clientId,
    compression: config.compression,
    requestTimeoutMs: config.requestTimeoutMs,
    connectionTimeoutMs: config.connectionTimeoutMs,
    createTopics: config.createTopics,
    idempotent: config.idempotent,
    tls: config.tls === undefined ? undefined : tlsOptions(config.tls),
    sasl: config.sasl === undefined ? undefined : saslOptions(config.sasl),
  };
}

function tlsOptions(tls: NonNullable<KafkaConfig['tls']>): KafkaTlsOptions {
  const read = (file: string | undefined): string | undefined =>
    file === undefined ? undefined : readFileSync(file, 'utf8');
  return { ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key) };
}

function saslOptions(sasl: SaslConfig): KafkaSaslOptions {
  if (sasl.mechanism !== 'oauthbearer') return sasl;
  return { mechanism: 'oauthbearer', token: clientCredentials(sasl) };
}
