/**
 * User properties in the order of the packet, repeated names included: the order is part of the message [MQTT-3.1.3-10],
 * [MQTT-3.3.2-18]. mqtt-packet 9, which aedes parses with, groups them by name in an object, where the order among names is lost
 * and names that look like numbers come first.
 */
import type { AedesClient } from './internals.ts';

export type UserProperties = readonly (readonly [name: string, value: string])[];

interface Parser {
  _parseProperties(): Record<string, unknown> | false;
  _parseStringPair(): { readonly name: string; readonly value: string };
}

/** Before the client's first byte is read. */
export function orderUserProperties(client: AedesClient): void {
  const parser = client._parser as unknown as Parser;
  let pairs: [string, string][] = [];
  const parseStringPair = parser._parseStringPair.bind(parser);
  parser._parseStringPair = () => {
    const pair = parseStringPair();
    pairs.push([pair.name, pair.value]);
    return pair;
  };
  const parseProperties = parser._parseProperties.bind(parser);
  parser._parseProperties = () => {
    const properties = parseProperties();
    if (pairs.length > 0) {
      if (properties !== false) properties['userProperties'] = pairs;
      pairs = [];
    }
    return properties;
  };
}
