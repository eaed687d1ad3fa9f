/** What the HTTP side needs of the sluice it stands on: sluice.ts provides it, tests stand in for it. */
import type { Identity } from '../auth/identity.ts';
import type { SluiceError } from '../errors.ts';
import type { MessageProperties } from '../message.ts';
import type {
  DeadLetterFilter,
  Durations,
  RecentDeadLetter,
  ReplayCounts,
  SluiceStatus,
  StoredDeadLetter,
} from '../status.ts';

export type Role = 'viewer' | 'operator';

/** One MQTT client that is connected. */
export interface ClientStatus {
  readonly clientId: string;
  /** '' where it has proven nothing. */
  readonly user: string;
  readonly protocol: '3.1' | '3.1.1' | '5';
  readonly listener: string;
  readonly remoteAddress: string;
  readonly connectedAt: string;
  /** Seconds that the client promised; 0: none. */
  readonly keepAliveSeconds: number;
  /** Its session ends with the connection. */
  readonly cleanSession: boolean;
  readonly subscriptions: number;
  /** Messages that wait for the buffer. */
  readonly pending: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface SubscriptionStatus {
  readonly clientId: string;
  readonly filter: string;
  readonly qos: number;
}

/** A part of a longer list. `total` counts all that match. */
export interface Page<Item> {
  readonly total: number;
  readonly items: readonly Item[];
}

export interface PageRequest {
  /** Part of a client id or user (clients), of a client id or filter (subscriptions); upper and lower case are the same. */
  readonly search: string;
  readonly offset: number;
  readonly limit: number;
}

export interface SessionsStatus {
  readonly connected: number;
  /** Clients that are away and whose session is kept; undefined: the session store does not answer. */
  readonly offline: number | undefined;
}

/** A message that came over HTTP. */
export interface PublishRequest {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  /** As whom: it decides the shard, and with the default key the partition, so the order. */
  readonly clientId: string;
  readonly properties: MessageProperties | undefined;
  /** Names the message: it is taken once. */
  readonly key: string | undefined;
}

export type PublishOutcome =
  /** `routed`: durable. Else it matches no route, and went to MQTT subscribers alone. `duplicate`: it was taken before. */
  | { readonly error: undefined; readonly routed: boolean; readonly duplicate: boolean }
  | { readonly error: SluiceError };

/** A message that nobody has sent: what would become of it? */
export interface ExplainRequest {
  readonly topic: string;
  readonly payload: Buffer;
  readonly clientId: string;
  readonly user: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: MessageProperties | undefined;
}

/** Who publishes over HTTP. */
export interface HttpSender {
  /** '' where nobody in particular. */
  readonly user: string;
  /** Proven as MQTT clients prove it: access rules and rates apply. undefined: an operator, to whom they do not. */
  readonly device: Identity | undefined;
}

export interface ApiPort {
  /** In order. Resolves once every message is durable or refused. @throws SluiceError NOT_RUNNING: none was taken */
  publish(sender: HttpSender, messages: readonly PublishRequest[]): Promise<readonly PublishOutcome[]>;
  status(): Promise<SluiceStatus>;
  metrics(): Promise<string>;
  durations(): Promise<Durations>;
  clients(request: PageRequest): Page<ClientStatus>;
  subscriptions(request: PageRequest): Page<SubscriptionStatus>;
  sessions(): Promise<SessionsStatus>;
  recentDeadLetters(): readonly RecentDeadLetter[];
  /** Which routes take a message and the records they make, as JSON. @throws SluiceError PUBLISH_REFUSED: no topic name */
  explain(request: ExplainRequest): unknown;
  /** The last ones of the dead-letter topic, the newest first. @throws SluiceError NOT_RUNNING, KAFKA_CLUSTER, KAFKA_TOPIC */
  storedDeadLetters(filter: DeadLetterFilter, limit: number): Promise<readonly StoredDeadLetter[]>;
  /** Puts dead letters in again (a dry run: counts them). @throws SluiceError NOT_RUNNING, or why it was cut */
  replayDeadLetters(filter: DeadLetterFilter, dryRun: boolean): Promise<ReplayCounts>;
  /** Without secrets. */
  configuration(): unknown;
  /** Ends the connections of a client id; false: it has none. */
  disconnect(clientId: string): boolean;
}
