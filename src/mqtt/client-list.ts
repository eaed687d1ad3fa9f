/** The connected clients as lists, for whoever operates the broker. */
import type { Connection } from './connection.ts';

export interface ListRequest {
  /** '' finds all; upper and lower case are the same. */
  readonly search: string;
  readonly offset: number;
  readonly limit: number;
}

export interface List<Item> {
  /** All that match. */
  readonly total: number;
  /** In the order in which they connected. */
  readonly items: readonly Item[];
}

export interface ListedClient {
  readonly clientId: string;
  readonly user: string;
  readonly protocol: '3.1' | '3.1.1' | '5';
  readonly listener: string;
  readonly remoteAddress: string;
  readonly connectedAt: string;
  readonly keepAliveSeconds: number;
  readonly cleanSession: boolean;
  readonly subscriptions: number;
  readonly pending: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface ListedSubscription {
  readonly clientId: string;
  readonly filter: string;
  readonly qos: number;
}

/** By part of the client id or user. */
export function listClients(connections: Iterable<Connection>, request: ListRequest): List<ListedClient> {
  return page(registered(connections), request, ({ client, identity }) => [client.id, identity.user], describe);
}

/** By part of the client id or filter. */
export function listSubscriptions(connections: Iterable<Connection>, request: ListRequest): List<ListedSubscription> {
  return page(
    subscriptionsOf(connections),
    request,
    ({ clientId, filter }) => [clientId, filter],
    (each) => each,
  );
}

function* registered(connections: Iterable<Connection>): Generator<Connection> {
  for (const connection of connections) {
    if (connection.publisher !== undefined && !connection.client.closed) yield connection;
  }
}

function* subscriptionsOf(connections: Iterable<Connection>): Generator<ListedSubscription> {
  for (const { client, subscriptions } of registered(connections)) {
    for (const [filter, { qos }] of subscriptions) yield { clientId: client.id, filter, qos };
  }
}

function page<Item, Shown>(
  items: Iterable<Item>,
  { search, offset, limit }: ListRequest,
  texts: (item: Item) => readonly string[],
  show: (item: Item) => Shown,
): List<Shown> {
  const wanted = search.toLowerCase();
  const shown: Shown[] = [];
  let total = 0;
  for (const item of items) {
    if (wanted !== '' && !texts(item).some((text) => text.toLowerCase().includes(wanted))) continue;
    if (total >= offset && shown.length < limit) shown.push(show(item));
    total++;
  }
  return { total, items: shown };
}

function describe(connection: Connection): ListedClient {
  const { client, identity, info, publisher, keepAliveMs, connectedAt, subscriptions } = connection;
  const { bytesRead = 0, bytesWritten = 0 } = client.conn as { bytesRead?: number; bytesWritten?: number };
  return {
    clientId: client.id,
    user: identity.user,
    protocol: client.version === 5 ? '5' : client.version === 4 ? '3.1.1' : '3.1',
    listener: info.listener,
    remoteAddress: info.remoteAddress,
    connectedAt: new Date(connectedAt).toISOString(),
    keepAliveSeconds: Math.round(keepAliveMs / 1_500),
    cleanSession: client.clean,
    subscriptions: subscriptions.size,
    pending: publisher?.pending ?? 0,
    receivedBytes: bytesRead,
    sentBytes: bytesWritten,
  };
}
