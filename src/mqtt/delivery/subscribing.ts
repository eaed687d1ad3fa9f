/** SUBSCRIBE and UNSUBSCRIBE, and the retained messages that a new subscription gets (MQTT 5.0 §3.8 to §3.11). The filters are valid. */
import { deny, filterFault } from '../access.ts';
import type { Connection } from '../connection.ts';
import type { AnyPacket, Subscription } from '../patches/internals.ts';
import { ReasonCode, suback, unsuback } from '../wire.ts';
import { shareOf } from './shared.ts';

export function subscribe(connection: Connection, packet: AnyPacket): void {
  const done = connection.begin();
  const subscriptions = packet.subscriptions ?? [];
  const identifier = packet.properties?.['subscriptionIdentifier'];
  connection.inTurn(async () => {
    const codes: number[] = [];
    const granted: { subscription: Subscription; isNew: boolean }[] = [];
    for (const { topic, qos, nl, rap, rh } of subscriptions) {
      const subscription: Subscription = { topic, qos, nl: nl === true, rap: rap === true, rh: rh ?? 0 };
      if (typeof identifier === 'number') subscription.subscriptionIdentifier = identifier;
      const code = grant(connection, subscription);
      codes.push(code < 0x80 || connection.client.version === 5 ? code : 0x80);
      if (code >= 0x80) continue;
      granted.push({ subscription, isNew: !connection.subscriptions.has(topic) });
      await take(connection, subscription);
    }
    if (connection.client.closed || connection.ending) return;
    connection.write(suback(connection.client.version, packet.messageId ?? 0, codes));
    for (const { subscription, isNew } of granted) {
      // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]; none for shared subscriptions (§4.8.2).
      const wanted = subscription.rh === 0 || (subscription.rh === 1 && isNew);
      if (wanted && shareOf(subscription.topic) === undefined) void sendRetained(connection, subscription);
    }
  }, done);
}

/** The QoS granted, or why it is not. */
function grant(connection: Connection, { topic, qos }: Subscription): number {
  const { core } = connection;
  if (shareOf(topic) !== undefined && !core.sharedSubscriptions) return ReasonCode.sharedSubscriptionsNotSupported;
  const fault = filterFault(connection, topic, qos);
  if (fault === undefined) return qos;
  deny(connection, 'subscribe', topic, fault.rule);
  return fault.reasonCode;
}

/** In the store first: what is acknowledged outlives us, as far as the session does. */
async function take(connection: Connection, subscription: Subscription): Promise<void> {
  const { client, core } = connection;
  if (connection.stored) {
    await core.store.subscribe(client.id, [subscription]);
    core.fanout.stored(client.id, subscription);
    core.announce({ clientId: client.id, subscribed: [subscription] });
  }
  if (client.closed) return;
  connection.subscriptions.set(subscription.topic, subscription);
  core.fanout.subscribe(connection, subscription);
}

export function unsubscribe(connection: Connection, packet: AnyPacket): void {
  const done = connection.begin();
  const filters = packet.unsubscriptions ?? [];
  connection.inTurn(async () => {
    await forget(connection, filters);
    const codes = drop(connection, filters).map((had) => (had ? 0 : ReasonCode.noSubscriptionExisted));
    connection.write(unsuback(connection.client.version, packet.messageId ?? 0, codes));
  }, done);
}

/** Rules have changed: it may have them no longer. Nobody is answered. */
export function revoke(connection: Connection, filters: readonly string[]): void {
  drop(connection, filters);
  connection.inTurn(
    () => forget(connection, filters),
    () => undefined,
  );
}

/** Nothing comes by them any more. Whether the client had them. */
function drop(connection: Connection, filters: readonly string[]): boolean[] {
  return filters.map((filter) => {
    connection.core.fanout.unsubscribe(connection, filter);
    return connection.subscriptions.delete(filter);
  });
}

/** Its session is without them. */
async function forget(connection: Connection, filters: readonly string[]): Promise<void> {
  const { client, core, stored } = connection;
  if (!stored) return;
  await core.store.unsubscribe(client.id, filters);
  for (const filter of filters) core.fanout.notStored(client.id, filter);
  core.announce({ clientId: client.id, unsubscribed: filters });
}

/** No faster than the client takes them. Those of QoS 1 and 2 belong to its session, as others do. */
async function sendRetained(connection: Connection, subscription: Subscription): Promise<void> {
  const { client, core, outbound } = connection;
  const { topic, subscriptionIdentifier } = subscription;
  const identifiers = subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier];
  for await (const publication of core.store.retained(topic)) {
    if (publication.expiresAt !== undefined && publication.expiresAt <= Date.now()) continue;
    const qos = Math.min(subscription.qos, publication.qos) as 0 | 1 | 2;
    // [MQTT-3.3.1-8]
    const delivery = { qos, retain: true, identifiers, share: undefined };
    const stored = connection.stored && qos > 0;
    const target = { clientId: client.id, ...delivery };
    const key = stored ? await core.fanout.enqueue(publication, [target]) : undefined;
    await outbound?.room();
    if (client.closed || connection.ending) return;
    connection.receive(publication, delivery, key);
  }
}
