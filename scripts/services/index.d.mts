import type { Admin } from 'kafkajs';

/** A program under control: each operation resolves when it has happened. */
export interface ServiceProcess {
  readonly pid: number | undefined;
  readonly running: boolean;
  /** Its directory with data and log; kept by stop(), removed some time after this process has ended. */
  readonly dir: string;
  readonly logFile: string;
  /** Starts it again after stop() or kill(), on the same port and data; resolves when it is ready. */
  start(): Promise<void>;
  /** SIGTERM, then SIGKILL after 20 s. */
  stop(): Promise<void>;
  /** Sends a signal that ends it (SIGKILL by default) and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP: connections stay open, nothing answers. */
  pause(): void;
  resume(): void;
  restart(): Promise<void>;
}

export interface RedisOptions {
  port?: number;
  directory?: string;
  /** Settings of redis.conf, over: appendonly yes, appendfsync always, maxmemory-policy noeviction, save ''. */
  config?: Record<string, string>;
}

export interface Redis extends ServiceProcess {
  readonly url: string;
  readonly port: number;
}

export interface MosquittoOptions {
  port?: number;
  /** Lines of mosquitto.conf, by name. */
  settings?: Record<string, string | number>;
}

export interface Mosquitto extends ServiceProcess {
  readonly port: number;
}

/** A Schema Registry with Confluent's API; what it holds is gone when it stops. */
export interface Registry extends ServiceProcess {
  readonly url: string;
  readonly port: number;
}

export interface KafkaOptions {
  /** How many nodes, each broker and controller; 1 by default, 3 for a cluster that survives the loss of one. */
  nodes?: number;
  /** Ports of the client listener, one per node. */
  ports?: number[];
  /** The ports that clients are told of, where a proxy stands in front of `ports`. */
  advertisedPorts?: number[];
  directory?: string;
  /** More lines for server.properties. */
  properties?: Record<string, string | number | boolean>;
  /** Adds a SASL_PLAINTEXT listener: PLAIN, SCRAM-SHA-256 and -512 for these names and passwords, OAUTHBEARER for any. */
  users?: Record<string, string>;
  /** Adds a TLS listener with these PEM texts. */
  tls?: { cert: string; key: string; ca: string };
  /** In place of a small heap and flags for a quick start. */
  jvmOptions?: string[];
  say?: (line: string) => void;
}

export interface KafkaNode extends ServiceProcess {
  readonly id: number;
  readonly port: number;
}

export interface TopicOptions {
  /** The broker's default: as many as there are nodes, 3 at most. */
  replicationFactor?: number;
  config?: Record<string, string | number | boolean>;
}

export interface Kafka {
  /** `host:port` of each node, as clients should use them. */
  readonly brokers: string[];
  /** The same nodes behind any proxy, for tools that must see what is really there. */
  readonly directBrokers: string[];
  readonly saslBrokers: string[];
  readonly tlsBrokers: string[];
  readonly nodes: KafkaNode[];
  readonly dir: string;
  /** Resolves when every partition has a leader; rejects when the topic exists. */
  createTopic(topic: string, partitions?: number, options?: TopicOptions): Promise<void>;
  deleteTopic(topic: string): Promise<void>;
  /** Runs `task` with a connected admin client. */
  admin<T>(task: (admin: Admin) => Promise<T>): Promise<T>;
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  pause(): void;
  resume(): void;
  restart(): Promise<void>;
}

export declare const repository: string;
export declare function cacheDirectory(): string;
export declare function makeRunDirectory(name: string): Promise<string>;
export declare function freePort(): Promise<number>;
export declare function preferPort(port: number): Promise<number>;
export declare function startRedis(options?: RedisOptions): Promise<Redis>;
export declare function startMosquitto(options?: MosquittoOptions): Promise<Mosquitto>;
export declare function startRegistry(options?: { say?: (line: string) => void }): Promise<Registry>;
export declare function startKafka(options?: KafkaOptions): Promise<Kafka>;
/** Administration of a Kafka that runs already. */
export declare function connectKafka(
  brokers: string[],
): Pick<Kafka, 'brokers' | 'createTopic' | 'deleteTopic' | 'admin'>;
export declare function prepare(say?: (line: string) => void): Promise<void>;
export declare function whyWithout(
  tool: 'chromium' | 'prometheus',
  say?: (line: string) => void,
): Promise<string | undefined>;
