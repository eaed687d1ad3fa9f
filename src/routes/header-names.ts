/**
 * Who may use which record header name.
 *
 * - `sluice-…` and `mqtt-…` are sluice's. What they say (client id, MQTT topic, sluice-id) is known, not claimed.
 * - The names of a route's own headers are the operator's.
 * - `content-type` is the publisher's MQTT 5 content type, unless the route sets that header: then the route's value has
 *   the name, and the publisher's is called `mqtt-content-type`.
 * - Any other name is free for MQTT 5 user properties, which are written by devices.
 *
 * A user property that asks for a name of the first three is not dropped and does not get it: it is written as
 * `mqtt-user-property-<name>`. Order alone would not do: consumers differ in whether the first or the last header of a
 * name counts, and some make a list of both. Names compare without regard to case, for there are consumers that fold it.
 */
export const CONTENT_TYPE = 'content-type';
export const DISPLACED_CONTENT_TYPE = 'mqtt-content-type';
export const USER_PROPERTY_PREFIX = 'mqtt-user-property-';

/** Written where the value is a CloudEvent in binary mode (Kafka protocol binding, 3.2.3). */
export const CLOUD_EVENT_HEADERS = [
  'ce_id',
  'ce_source',
  'ce_type',
  'ce_specversion',
  'ce_time',
  'ce_subject',
] as const;

/** Folded twice, because characters exist that only become ASCII in upper case (ſ) or only in lower case (K, the Kelvin sign). */
export function foldHeaderName(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** A name that only sluice writes. */
export function isReservedHeaderName(name: string): boolean {
  const folded = foldHeaderName(name);
  return folded.startsWith('sluice-') || folded.startsWith('mqtt-');
}

/** The record header of a user property. `taken` are the folded names of the route's own headers. */
export function userPropertyHeaderName(name: string, taken: ReadonlySet<string>): string {
  const folded = foldHeaderName(name);
  const free = folded !== CONTENT_TYPE && !isReservedHeaderName(name) && !taken.has(folded);
  return free ? name : USER_PROPERTY_PREFIX + name;
}
