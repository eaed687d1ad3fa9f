/** MQTT packets byte by byte, right or wrong, for both specifications. Not mqtt-packet: that writes only what is right. */
export type Version = 3 | 4 | 5;
type Part = number | string | Uint8Array | readonly Part[];

/** Numbers are bytes; strings are themselves, without a length. */
export function bytes(...parts: Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.of(part);
      if (typeof part === 'string') return Buffer.from(part);
      return part instanceof Uint8Array ? part : bytes(...(part as Part[]));
    }),
  );
}

export const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
export const u32 = (value: number): Buffer => bytes(u16(Math.floor(value / 0x10000)), u16(value & 0xffff));

/** Behind its length, as strings and binary data are. */
export function sized(...parts: Part[]): Buffer {
  const content = bytes(...parts);
  return bytes(u16(content.length), content);
}

export function variable(value: number): Buffer {
  const out = [];
  do {
    out.push((value % 128) + (value >= 128 ? 128 : 0));
    value = Math.floor(value / 128);
  } while (value > 0);
  return Buffer.from(out);
}

/** The first byte and the body; the length is what it must be. */
export function packet(first: number, ...body: Part[]): Buffer {
  const content = bytes(...body);
  return bytes(first, variable(content.length), content);
}

/** Properties behind their length; MQTT 3 has none. */
export function properties(version: Version, ...parts: Part[]): Buffer {
  if (version !== 5) return Buffer.alloc(0);
  const content = bytes(...parts);
  return bytes(variable(content.length), content);
}

export interface ConnectParts {
  readonly first?: number;
  readonly name?: Part;
  readonly level?: number;
  readonly flags?: number;
  readonly properties?: Part;
  readonly id?: Part;
  /** After the client id: will, user name, password. */
  readonly rest?: Part;
}

export function connect(version: Version, parts: ConnectParts = {}): Buffer {
  return packet(
    parts.first ?? 0x10,
    sized(parts.name ?? (version === 3 ? 'MQIsdp' : 'MQTT')),
    parts.level ?? version,
    parts.flags ?? 2,
    u16(60),
    properties(version, parts.properties ?? []),
    sized(parts.id ?? 'row'),
    parts.rest ?? [],
  );
}

export interface PublishParts {
  /** DUP, QoS and RETAIN. */
  readonly flags?: number;
  readonly topic?: Part;
  readonly id?: number;
  readonly properties?: Part;
  readonly payload?: Part;
}

export function publish(version: Version, parts: PublishParts = {}): Buffer {
  const flags = parts.flags ?? 2;
  return packet(
    0x30 | flags,
    sized(parts.topic ?? 't'),
    (flags & 6) === 0 ? [] : u16(parts.id ?? 1),
    properties(version, parts.properties ?? []),
    parts.payload ?? 'payload',
  );
}

export interface SubscribeParts {
  readonly first?: number;
  readonly id?: number;
  readonly properties?: Part;
  readonly filters?: readonly (readonly [filter: Part, options: number])[];
}

export function subscribe(version: Version, parts: SubscribeParts = {}): Buffer {
  const filters = parts.filters ?? [['t', 0]];
  return packet(
    parts.first ?? 0x82,
    u16(parts.id ?? 1),
    properties(version, parts.properties ?? []),
    filters.map(([filter, options]) => bytes(sized(filter), options)),
  );
}

export function unsubscribe(
  version: Version,
  parts: Omit<SubscribeParts, 'filters'> & { filters?: Part[] } = {},
): Buffer {
  return packet(
    parts.first ?? 0xa2,
    u16(parts.id ?? 1),
    properties(version, parts.properties ?? []),
    (parts.filters ?? ['t']).map((filter) => sized(filter)),
  );
}
