/** What a well-behaved client may send over one connection, drawn at random: packets that fit their state, one after another. */
import type { Random } from '../../support/random.ts';
import {
  bytes,
  connect,
  packet,
  properties,
  publish,
  sized,
  subscribe,
  u16,
  u32,
  unsubscribe,
  variable,
  type Version,
} from '../guard/bytes.ts';

export interface Session {
  readonly version: Version;
  readonly packets: readonly Buffer[];
}

const TOPICS = [
  'r/1',
  'r/a/b',
  'x',
  '/',
  '$x/y',
  'ü/ß',
  '__proto__',
  'constructor',
  'r/' + 'l/'.repeat(40),
  'é'.repeat(80),
];
const FILTERS = ['r/#', '+', '#', '__proto__', 'r/+/b', '$SYS/#', 'x', '/', 'hasOwnProperty'];
const SHARED = ['$share/g/x', '$share/__proto__/#', '$share/g/r/+'];

export function drawSession(random: Random, clientId: string): Session {
  const version = random.pick([3, 4, 4, 5, 5, 5] as const);
  const some = (chance: number): boolean => random.next() < chance;
  const aliases = new Set<number>();
  const packetId = (): Buffer => u16(1 + random.int(random.pick([3, 65_535])));
  const userProperty = (): Buffer =>
    some(0.3) ? bytes(0x26, sized(random.pick(['', 'a', '__proto__'])), sized(random.pick(['', 'v']))) : EMPTY;

  const message = (): Buffer =>
    bytes(
      some(0.2) ? [0x01, random.int(2)] : EMPTY,
      some(0.2) ? [0x02, u32(random.pick([0, 1, 60, 0xffffffff]))] : EMPTY,
      some(0.2) ? [0x03, sized('text/plain')] : EMPTY,
      some(0.2) ? [0x08, sized(random.pick(TOPICS))] : EMPTY,
      some(0.2) ? [0x09, sized(0, 255)] : EMPTY,
      userProperty(),
      userProperty(),
    );

  const connecting = (): Buffer => {
    const will = some(0.3);
    const user = some(0.3);
    const password = user && some(0.5);
    const clean = some(0.7);
    const willFlags = will ? 0x04 | (random.int(3) << 3) | (some(0.3) ? 0x20 : 0) : 0;
    return connect(version, {
      flags: (clean ? 0x02 : 0) | willFlags | (user ? 0x80 : 0) | (password ? 0x40 : 0),
      id: clientId,
      properties: [
        some(0.5) ? [0x11, u32(random.pick([0, 1, 60, 0xffffffff]))] : EMPTY,
        some(0.2) ? [0x21, u16(1 + random.int(100))] : EMPTY,
        some(0.1) ? [0x27, u32(random.pick([100, 100_000]))] : EMPTY,
        some(0.2) ? [0x22, u16(random.int(20))] : EMPTY,
        some(0.2) ? [0x17, random.int(2)] : EMPTY,
        some(0.2) ? [0x19, random.int(2)] : EMPTY,
        userProperty(),
      ],
      rest: [
        will
          ? [
              properties(version, some(0.3) ? [0x18, u32(random.int(3))] : EMPTY, message()),
              sized(random.pick(TOPICS)),
              sized('gone'),
            ]
          : EMPTY,
        user ? sized('user') : EMPTY,
        password ? sized(0, 255, 'secret') : EMPTY,
      ],
    });
  };

  const publishing = (): Buffer => {
    const qos = random.int(3);
    const flags = (qos << 1) | (qos > 0 && some(0.2) ? 8 : 0) | (some(0.15) ? 1 : 0);
    let topic: string = random.pick(TOPICS);
    let alias: Buffer = EMPTY;
    if (version === 5 && some(0.3)) {
      const number = 1 + random.int(8);
      if (aliases.has(number) && some(0.5)) topic = '';
      aliases.add(number);
      alias = bytes(0x23, u16(number));
    }
    const payload = Buffer.alloc(random.int(random.pick([1, 20, 400, 5_000])), random.int(256));
    return publish(version, { flags, topic, id: packetId().readUInt16BE(), properties: [alias, message()], payload });
  };

  const subscribing = (): Buffer => {
    const filters = Array.from({ length: 1 + random.int(3) }, () => {
      const shared = version === 5 && some(0.2);
      const options =
        random.int(3) |
        (version === 5 ? (shared ? 0 : random.int(2) << 2) | (random.int(2) << 3) | (random.int(3) << 4) : 0);
      return [shared ? random.pick(SHARED) : random.pick(FILTERS), options] as const;
    });
    const identifier = some(0.3) ? bytes(0x0b, variable(1 + random.int(random.pick([100, 268_435_454])))) : EMPTY;
    return subscribe(version, { id: packetId().readUInt16BE(), properties: [identifier, userProperty()], filters });
  };

  /** PUBACK and the like, for a message that may or may not be there. */
  const acknowledging = (): Buffer => {
    const first = random.pick([0x40, 0x50, 0x62, 0x70] as const);
    const code =
      version === 5 && some(0.4) ? [random.pick(first === 0x62 || first === 0x70 ? [0, 0x92] : [0, 0x10, 0x87])] : [];
    const more =
      code.length > 0 && some(0.5) ? properties(5, some(0.5) ? [0x1f, sized('r')] : EMPTY, userProperty()) : EMPTY;
    return packet(first, packetId(), code, more);
  };

  const draws = [
    publishing,
    publishing,
    publishing,
    subscribing,
    acknowledging,
    acknowledging,
    (): Buffer => packet(0xc0),
    (): Buffer =>
      unsubscribe(version, {
        id: packetId().readUInt16BE(),
        filters: [random.pick(FILTERS)],
        properties: userProperty(),
      }),
  ];
  const packets = [connecting(), ...Array.from({ length: random.int(16) }, () => random.pick(draws)())];
  if (some(0.3)) packets.push(version === 5 && some(0.5) ? packet(0xe0, random.pick([0, 4]), 0) : packet(0xe0));
  return { version, packets };
}

const EMPTY: Buffer = Buffer.alloc(0);
