import type { Compression } from './compression.ts';

/** PEM texts, as node:tls takes them. */
export interface KafkaTlsOptions {
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  readonly rejectUnauthorized?: boolean | undefined;
  /** The name that the brokers' certificate must have, where it is not their host name. */
  readonly servername?: string | undefined;
}

export type KafkaSaslOptions =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
      readonly username: string;
      readonly password: string;
    }
  | {
      readonly mechanism: 'oauthbearer';
      /** Gives a token that is valid now; asked for each connection (see oauth.ts). */
      readonly token: () => Promise<string>;
    };

export interface CreateTopicsOptions {
  /** true by default. */
  readonly enabled?: boolean | undefined;
  /** The cluster's num.partitions by default. */
  readonly partitions?: number | undefined;
  /** The cluster's default.replication.factor by default. */
  readonly replicationFactor?: number | undefined;
  /** Kafka's own settings of the topic; as the cluster has them by default. */
  readonly config?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** What is said of one topic in place of what is said for all. */
export interface TopicOverrides {
  readonly compression?: Compression | undefined;
  readonly createTopic?: Omit<CreateTopicsOptions, 'enabled'> | undefined;
}

export interface KafkaOptions {
  /** `host:port` or `[IPv6]:port`; one that is up is enough. */
  readonly brokers: readonly string[];
  /** 'sluice' by default. */
  readonly clientId?: string | undefined;
  /** true: trust the authorities of the system. Off by default. */
  readonly tls?: KafkaTlsOptions | boolean | undefined;
  readonly sasl?: KafkaSaslOptions | undefined;
  /** 'none' by default. */
  readonly compression?: Compression | undefined;
  /** How long a broker may take to answer; 30 s by default. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long a connection may take to open; 5 s by default. */
  readonly connectionTimeoutMs?: number | undefined;
  readonly createTopics?: CreateTopicsOptions | undefined;
  /** Lets the brokers recognise a chunk that is sent again. true by default. */
  readonly idempotent?: boolean | undefined;
  readonly topic?: ((topic: string) => TopicOverrides | undefined) | undefined;
  /** How old what is known of a topic may get; 60 s by default. */
  readonly metadataMaxAgeMs?: number | undefined;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type KafkaLog = (level: LogLevel, message: string, detail?: Record<string, unknown>) => void;

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

export interface NewTopic {
  /** -1: as the cluster is configured. */
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly config: Readonly<Record<string, string | number | boolean>>;
}

/** What KafkaOptions come to. */
export interface KafkaSettings {
  readonly brokers: readonly BrokerAddress[];
  readonly clientId: string;
  readonly tls: KafkaTlsOptions | undefined;
  readonly sasl: KafkaSaslOptions | undefined;
  readonly compression: Compression;
  readonly requestTimeoutMs: number;
  readonly connectionTimeoutMs: number;
  readonly createTopics: { readonly enabled: boolean } & NewTopic;
  readonly topic: (topic: string) => TopicOverrides | undefined;
  readonly idempotent: boolean;
  readonly metadataMaxAgeMs: number;
}

/** The protocol's number for "as the cluster is configured" (KIP-464). */
const CLUSTER_DEFAULT = -1;

/** @throws Error where a broker is not host:port */
export function kafkaSettings(options: KafkaOptions): KafkaSettings {
  if (options.brokers.length === 0) throw new Error('no Kafka broker is named');
  const { tls, createTopics } = options;
  return {
    brokers: options.brokers.map(parseAddress),
    clientId: options.clientId ?? 'sluice',
    tls: tls === true ? {} : tls ? given(tls) : undefined,
    sasl: options.sasl,
    compression: options.compression ?? 'none',
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    connectionTimeoutMs: options.connectionTimeoutMs ?? 5_000,
    createTopics: {
      enabled: createTopics?.enabled ?? true,
      partitions: createTopics?.partitions ?? CLUSTER_DEFAULT,
      replicationFactor: createTopics?.replicationFactor ?? CLUSTER_DEFAULT,
      config: createTopics?.config ?? {},
    },
    topic: options.topic ?? (() => undefined),
    idempotent: options.idempotent ?? true,
    metadataMaxAgeMs: options.metadataMaxAgeMs ?? 60_000,
  };
}

/** Without what is undefined: node:tls would take it in place of its defaults. */
function given(tls: KafkaTlsOptions): KafkaTlsOptions {
  return Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
}

function parseAddress(text: string): BrokerAddress {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) throw new Error(`'${text}' is not a Kafka broker's host:port`);
  return { host: (match[1] ?? match[2]) as string, port };
}
