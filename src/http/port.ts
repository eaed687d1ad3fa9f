/** What the HTTP side needs of the sluice it stands on: sluice.ts provides it, tests stand in for it. */
import type { RecentDeadLetter, SluiceStatus } from '../status.ts';

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

export interface ApiPort {
  status(): Promise<SluiceStatus>;
  metrics(): Promise<string>;
  clients(request: PageRequest): Page<ClientStatus>;
  subscriptions(request: PageRequest): Page<SubscriptionStatus>;
  sessions(): Promise<SessionsStatus>;
  recentDeadLetters(): readonly RecentDeadLetter[];
  /** Without secrets. */
  configuration(): unknown;
  /** Ends the connections of a client id; false: it has none. */
  disconnect(clientId: string): boolean;
}
