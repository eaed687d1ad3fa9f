/** MQTT 5 properties as record headers, in the order of the headers (record-headers.ts). */
import { encodedHeaderName, type RecordWriter } from '../kafka/record.ts';
import type { Message } from '../message.ts';
import { ClockCache, headerNames } from '../routes/index.ts';
import { H } from './record-headers.ts';

export type HeaderValue = string | Buffer;

const noNames: ReadonlySet<string> = new Set();

/** What routes decide about the names of properties: see routes/header-names.ts. */
export interface NameRules {
  readonly headerNames: ReadonlySet<string>;
  readonly setsContentType: boolean;
}

export const noRules: NameRules = { headerNames: noNames, setsContentType: false };

const contentType = encodedHeaderName(headerNames.CONTENT_TYPE);
const displacedContentType = encodedHeaderName(headerNames.DISPLACED_CONTENT_TYPE);
const responseTopic = encodedHeaderName(H.responseTopic);
const correlationData = encodedHeaderName(H.correlationData);
const messageExpiryInterval = encodedHeaderName(H.messageExpiryInterval);
const payloadFormatIndicator = encodedHeaderName(H.payloadFormatIndicator);

interface PropertyName {
  readonly folded: string;
  /** As the publisher asks for it, but for the names that are never free. */
  readonly usual: Buffer;
  /** Where the route has a header of that name. */
  readonly prefixed: Buffer;
}

const NAMES_MAX = 2_000;
const NAMES_MAX_BYTES = 1024 * 1024;
const NAME_BYTES = 400;

/** Writes properties; remembers the names of user properties, which repeat, within a bound. */
export class PropertyWriter {
  readonly #names = new ClockCache<string, PropertyName>({ maxEntries: NAMES_MAX, maxWeight: NAMES_MAX_BYTES });

  write(writer: RecordWriter, message: Message, rules: NameRules): void {
    const properties = message.properties;
    if (properties === undefined) return;
    if (properties.contentType !== undefined) {
      writer.namedHeader(rules.setsContentType ? displacedContentType : contentType, properties.contentType);
    }
    if (properties.userProperties !== undefined) {
      for (const [name, value] of properties.userProperties) {
        const known = this.#name(name);
        const taken = rules.headerNames.size > 0 && rules.headerNames.has(known.folded);
        writer.namedHeader(taken ? known.prefixed : known.usual, value);
      }
    }
    if (properties.responseTopic !== undefined) writer.namedHeader(responseTopic, properties.responseTopic);
    if (properties.correlationData !== undefined) writer.namedHeader(correlationData, properties.correlationData);
    if (properties.messageExpiryInterval !== undefined) {
      writer.namedHeader(messageExpiryInterval, String(properties.messageExpiryInterval));
    }
    if (properties.payloadFormatIndicator !== undefined) {
      writer.namedHeader(payloadFormatIndicator, properties.payloadFormatIndicator ? '1' : '0');
    }
  }

  #name(name: string): PropertyName {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const prefixed = encodedHeaderName(headerNames.USER_PROPERTY_PREFIX + name);
    const usual = headerNames.userPropertyHeaderName(name, noNames);
    const made: PropertyName = {
      folded: headerNames.foldHeaderName(name),
      usual: usual === name ? encodedHeaderName(name) : prefixed,
      prefixed,
    };
    if (this.#names.admits()) this.#names.set(name, made, NAME_BYTES + 5 * name.length);
    return made;
  }
}

/** The same headers as a list, for dead letters, which have to count before they write. */
export function propertyHeaders(message: Message, rules: NameRules): readonly (readonly [string, HeaderValue])[] {
  const properties = message.properties ?? {};
  const headers: [string, HeaderValue][] = [];
  if (properties.contentType !== undefined) {
    const name = rules.setsContentType ? headerNames.DISPLACED_CONTENT_TYPE : headerNames.CONTENT_TYPE;
    headers.push([name, properties.contentType]);
  }
  for (const [name, value] of properties.userProperties ?? []) {
    headers.push([headerNames.userPropertyHeaderName(name, rules.headerNames), value]);
  }
  if (properties.responseTopic !== undefined) headers.push([H.responseTopic, properties.responseTopic]);
  if (properties.correlationData !== undefined) headers.push([H.correlationData, properties.correlationData]);
  if (properties.messageExpiryInterval !== undefined) {
    headers.push([H.messageExpiryInterval, String(properties.messageExpiryInterval)]);
  }
  if (properties.payloadFormatIndicator !== undefined) {
    headers.push([H.payloadFormatIndicator, properties.payloadFormatIndicator ? '1' : '0']);
  }
  return headers;
}
