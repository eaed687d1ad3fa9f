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
  type Version,
} from '../bytes.ts';
import { badStrings } from './strings.ts';
import { connected, of, UNNUMBERED, type Clauses, type Row } from './row.ts';

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const ALIAS_INVALID = 0x94;
const levels = (count: number): string => Array.from({ length: count }, () => 'l').join('/');

function header(version: 4 | 5): Row[] {
  const row = (clauses: Clauses, what: string, packet: Buffer, reasonCode = MALFORMED): Row =>
    connected(version, of(clauses, version), what, packet, reasonCode);
  const flags: Clauses = ['2.2.2-2', '2.1.3-1'];
  const ack = (first: number): Buffer => packet(first, u16(1));
  return [
    row(UNNUMBERED, 'packet type 0', packet(0x00)),
    row(UNNUMBERED, 'CONNACK from a client', packet(0x20, 0, 0, properties(version)), PROTOCOL_ERROR),
    row(UNNUMBERED, 'SUBACK from a client', packet(0x90, u16(1), properties(version), 0), PROTOCOL_ERROR),
    row(UNNUMBERED, 'UNSUBACK from a client', packet(0xb0, u16(1)), PROTOCOL_ERROR),
    row(UNNUMBERED, 'PINGRESP from a client', packet(0xd0), PROTOCOL_ERROR),
    row(['3.1.0-2', '3.1.0-2'], 'a second CONNECT', connect(version), PROTOCOL_ERROR),
    row(flags, 'PUBACK with flags', ack(0x42)),
    row(flags, 'PUBREC with flags', ack(0x51)),
    row(flags, 'PUBCOMP with flags', ack(0x78)),
    row(flags, 'PINGREQ with flags', packet(0xc1)),
    row(['3.6.1-1', '3.6.1-1'], 'PUBREL with flags 0', ack(0x60)),
    row(['3.6.1-1', '3.6.1-1'], 'PUBREL with flags 3', ack(0x63)),
    row(['3.8.1-1', '3.8.1-1'], 'SUBSCRIBE with flags 0', subscribe(version, { first: 0x80 })),
    row(['3.8.1-1', '3.8.1-1'], 'SUBSCRIBE with flags 15', subscribe(version, { first: 0x8f })),
    row(['3.10.1-1', '3.10.1-1'], 'UNSUBSCRIBE with flags 0', unsubscribe(version, { first: 0xa0 })),
    row(['3.10.1-1', '3.10.1-1'], 'UNSUBSCRIBE with flags 6', unsubscribe(version, { first: 0xa6 })),
    row(['3.14.1-1', '3.14.1-1'], 'DISCONNECT with flags', packet(0xe2)),
    row(UNNUMBERED, 'a length of five bytes', Buffer.of(0xc0, 0xff, 0xff, 0xff, 0xff, 0x01)),
    row(['4.8.0-1', '1.5.5-1'], 'a length of two bytes for one', Buffer.of(0xc0, 0x80, 0x00)),
    row(
      ['4.8.0-1', '1.5.5-1'],
      'a length of four bytes for one',
      Buffer.of(0x30, 0x85, 0x80, 0x80, 0x00, 0, 1, 0x74, 0, 0),
    ),
    row(['4.8.0-2', '3.2.2-15'], 'a claim of 256 MB', Buffer.of(0x32, 0xff, 0xff, 0xff, 0x7f, 0), 0x95),
    row(['4.8.0-2', '3.2.2-15'], 'a SUBSCRIBE that claims 1 MB', Buffer.of(0x82, 0x80, 0x80, 0x40), 0x95),
    row(UNNUMBERED, 'PINGREQ with a body', packet(0xc0, 0)),
    ...([0x40, 0x50, 0x62, 0x70] as const).flatMap((first) => [
      row(UNNUMBERED, `acknowledgement 0x${first.toString(16)} without a packet identifier`, packet(first)),
      row(UNNUMBERED, `acknowledgement 0x${first.toString(16)} with half a packet identifier`, packet(first, 1)),
      row(
        ['2.3.1-6', '2.2.1-5'],
        `acknowledgement 0x${first.toString(16)} of packet identifier 0`,
        packet(first, u16(0)),
        PROTOCOL_ERROR,
      ),
    ]),
  ];
}

function publishing(version: Version): Row[] {
  const row = (clauses: Clauses, what: string, packet: Buffer, reasonCode = MALFORMED): Row =>
    connected(version, of(clauses, version), what, packet, reasonCode);
  return [
    row(['3.3.1-4', '3.3.1-4'], 'PUBLISH with QoS 3', publish(version, { flags: 6 })),
    row(['3.3.1-2', '3.3.1-2'], 'PUBLISH with DUP and QoS 0', publish(version, { flags: 8 })),
    row(
      ['2.3.1-1', '2.2.1-3'],
      'PUBLISH with QoS 1 and packet identifier 0',
      publish(version, { id: 0 }),
      PROTOCOL_ERROR,
    ),
    row(
      ['2.3.1-1', '2.2.1-3'],
      'PUBLISH with QoS 2 and packet identifier 0',
      publish(version, { flags: 4, id: 0 }),
      PROTOCOL_ERROR,
    ),
    row(['3.3.2-2', '3.3.2-2'], 'PUBLISH to #', publish(version, { topic: '#' })),
    row(['3.3.2-2', '3.3.2-2'], 'PUBLISH to a/+/b', publish(version, { topic: 'a/+/b' })),
    row(['3.3.2-2', '3.3.2-2'], 'PUBLISH to a+', publish(version, { topic: 'a+' })),
    row(['4.7.3-1', '4.7.3-1'], 'PUBLISH to an empty topic', publish(version, { topic: '' }), PROTOCOL_ERROR),
    row(['4.7.3-2', '4.7.3-2'], 'PUBLISH to a topic with U+0000', publish(version, { topic: 'a\0' })),
    row(UNNUMBERED, 'an empty PUBLISH', Buffer.of(0x30, 0)),
    row(UNNUMBERED, 'PUBLISH with half a topic length', Buffer.of(0x30, 1, 0)),
    row(UNNUMBERED, 'PUBLISH with a topic longer than the packet', packet(0x30, u16(100), 't')),
    row(UNNUMBERED, 'PUBLISH with half a packet identifier', packet(0x32, sized('t'), 0)),
    row(['4.8.0-2', '4.13.2-1'], 'PUBLISH to 101 levels', publish(version, { topic: levels(101) }), 0x90),
    ...badStrings(version)
      .filter(({ what }) => what !== 'U+0000')
      .map(({ clauses, what, text }) =>
        row(clauses, `PUBLISH to a topic with ${what}`, publish(version, { topic: text })),
      ),
  ];
}

function subscribing(version: Version): Row[] {
  const row = (clauses: Clauses, what: string, packet: Buffer, reasonCode = MALFORMED): Row =>
    connected(version, of(clauses, version), what, packet, reasonCode);
  const hash: Clauses = ['4.7.1-2', '4.7.1-1'];
  const plus: Clauses = ['4.7.1-3', '4.7.1-2'];
  const badFilters: [Clauses, string][] = [
    [hash, 'a#'],
    [hash, '#/a'],
    [hash, 'a/#/b'],
    [hash, '##'],
    [plus, 'a+'],
    [plus, '+b'],
    [plus, 'a/+b/c'],
    [plus, '++'],
    [['4.7.3-1', '4.7.3-1'], ''],
    [['4.7.3-2', '4.7.3-2'], 'a/\0/b'],
  ];
  const filtered = (filter: string | Uint8Array): [Buffer, Buffer] => [
    subscribe(version, {
      filters: [
        ['good', 0],
        [filter, 0],
      ],
    }),
    unsubscribe(version, { filters: ['good', filter] }),
  ];
  return [
    row(['2.3.1-1', '2.2.1-3'], 'SUBSCRIBE with packet identifier 0', subscribe(version, { id: 0 }), PROTOCOL_ERROR),
    row(
      ['2.3.1-1', '2.2.1-3'],
      'UNSUBSCRIBE with packet identifier 0',
      unsubscribe(version, { id: 0 }),
      PROTOCOL_ERROR,
    ),
    row(['3.8.3-3', '3.8.3-2'], 'SUBSCRIBE to nothing', subscribe(version, { filters: [] }), PROTOCOL_ERROR),
    row(['3.10.3-2', '3.10.3-2'], 'UNSUBSCRIBE from nothing', unsubscribe(version, { filters: [] }), PROTOCOL_ERROR),
    row(['3-8.3-4', '4.13.1-1'], 'SUBSCRIBE with QoS 3', subscribe(version, { filters: [['t', 3]] }), PROTOCOL_ERROR),
    row(['3-8.3-4', '3.8.3-5'], 'SUBSCRIBE with a reserved option', subscribe(version, { filters: [['t', 0x40]] })),
    row(UNNUMBERED, 'SUBSCRIBE without options', packet(0x82, u16(1), properties(version), sized('t'))),
    row(
      UNNUMBERED,
      'SUBSCRIBE with a filter longer than the packet',
      packet(0x82, u16(1), properties(version), u16(9), 't', 0),
    ),
    row(UNNUMBERED, 'an empty SUBSCRIBE', Buffer.of(0x82, 0)),
    row(UNNUMBERED, 'an empty UNSUBSCRIBE', Buffer.of(0xa2, 0)),
    ...badFilters.flatMap(([clauses, filter]) => {
      const [sub, unsub] = filtered(filter);
      const shown = JSON.stringify(filter);
      return [row(clauses, `SUBSCRIBE to ${shown}`, sub), row(clauses, `UNSUBSCRIBE from ${shown}`, unsub)];
    }),
    row(['4.8.0-2', '4.13.2-1'], 'SUBSCRIBE to 101 levels', filtered(levels(101))[0], 0x8f),
    ...badStrings(version)
      .filter(({ what }) => what !== 'U+0000')
      .map(({ clauses, what, text }) => row(clauses, `SUBSCRIBE to a filter with ${what}`, filtered(text)[0])),
  ];
}

function v3(): Row[] {
  const row = (clause: string, what: string, packet: Buffer): Row => connected(4, clause, what, packet, 0);
  return [
    row('4.8.0-1', 'AUTH, which MQTT 3.1.1 does not have', packet(0xf0)),
    row('4.8.0-1', 'PUBACK with a reason code', packet(0x40, u16(1), 0)),
    row('4.8.0-1', 'PUBREL with properties', packet(0x62, u16(1), 0, 0)),
    row('4.8.0-1', 'DISCONNECT with a reason code', packet(0xe0, 0)),
    row('3-8.3-4', 'SUBSCRIBE with the options of MQTT 5', subscribe(4, { filters: [['t', 0x04]] })),
  ];
}

function v5(): Row[] {
  const row = (clause: string, what: string, packet: Buffer, reasonCode = PROTOCOL_ERROR, before?: Buffer): Row =>
    connected(5, clause, what, packet, reasonCode, before);
  const published = (...parts: Parameters<typeof bytes>): Buffer => publish(5, { properties: bytes(...parts) });
  const twice: [string, Buffer][] = [
    ['payload format indicator', bytes(0x01, 0)],
    ['message expiry interval', bytes(0x02, u32(1))],
    ['content type', bytes(0x03, sized('a'))],
    ['response topic', bytes(0x08, sized('r'))],
    ['correlation data', bytes(0x09, sized('c'))],
    ['topic alias', bytes(0x23, u16(1))],
  ];
  const acks: [string, number, string][] = [
    ['PUBACK', 0x40, '3.4.2-1'],
    ['PUBREC', 0x50, '3.5.2-1'],
    ['PUBREL', 0x62, '3.6.2-1'],
    ['PUBCOMP', 0x70, '3.7.2-1'],
  ];
  const withMethod = connect(5, { properties: bytes(0x15, sized('m')) });
  return [
    ...twice.map(([what, each]) => row('4.13.1-1', `PUBLISH with ${what} twice`, published(each, each))),
    row('4.13.1-1', 'PUBLISH with payload format indicator 2', published(0x01, 2)),
    row('3.3.2-8', 'PUBLISH with topic alias 0', published(0x23, u16(0)), ALIAS_INVALID),
    row('3.3.2-9', 'PUBLISH with a topic alias above the maximum', published(0x23, u16(60_000)), ALIAS_INVALID),
    row(
      '4.13.1-1',
      'PUBLISH with a topic alias that was never set',
      publish(5, { topic: '', properties: [0x23, u16(7)] }),
    ),
    row('3.3.2-14', 'PUBLISH with a response topic a/+', published(0x08, sized('a/+'))),
    row('4.7.3-1', 'PUBLISH with an empty response topic', published(0x08, sized(''))),
    row('3.3.4-6', 'PUBLISH with a subscription identifier', published(0x0b, 1)),
    row('4.13.1-1', 'PUBLISH with a property of CONNECT', published(0x11, u32(1)), MALFORMED),
    row('4.13.1-1', 'PUBLISH with an unknown property', published(0x04, 0), MALFORMED),
    row('4.13.1-1', 'PUBLISH with property identifier 0', published(0x00), MALFORMED),
    row('4.13.1-1', 'PUBLISH with a property cut off', published(0x02, 0, 0), MALFORMED),
    row('4.13.1-1', 'PUBLISH with properties longer than it', packet(0x30, sized('t'), 50, 'x'), MALFORMED),
    row('4.13.1-1', 'PUBLISH without a property length', packet(0x30, sized('t')), MALFORMED),
    row(
      '4.13.1-1',
      'PUBLISH with a property length of five bytes',
      packet(0x30, sized('t'), 0x80, 0x80, 0x80, 0x80, 1),
      MALFORMED,
    ),
    row(
      '1.5.5-1',
      'PUBLISH with a property length of two bytes for one',
      packet(0x30, sized('t'), 0x80, 0, 'x'),
      MALFORMED,
    ),
    row('1.5.4-1', 'PUBLISH with ill-formed UTF-8 in the content type', published(0x03, sized(0xc3, 0x28)), MALFORMED),
    row('1.5.4-2', 'PUBLISH with U+0000 in a user property', published(0x26, sized('a\0'), sized('b')), MALFORMED),
    ...acks.flatMap(([name, first, clause]) => [
      row(clause, `${name} with reason code 0x01`, packet(first, u16(1), 0x01)),
      row(clause, `${name} with reason code 0xFF`, packet(first, u16(1), 0xff, 0)),
      row('4.13.1-1', `${name} with a property of PUBLISH`, packet(first, u16(1), 0, 3, 0x23, u16(1)), MALFORMED),
      row('4.13.1-1', `${name} with its reason string twice`, packet(first, u16(1), 0, 6, 0x1f, u16(0), 0x1f, u16(0))),
      row('4.13.1-1', `${name} with bytes behind its properties`, packet(first, u16(1), 0, 0, 0), MALFORMED),
    ]),
    row('3.4.2-1', 'PUBACK with the reason code of PUBREL', packet(0x40, u16(1), 0x92)),
    row('3.6.2-1', 'PUBREL with the reason code of PUBACK', packet(0x62, u16(1), 0x87)),
    row('4.13.1-1', 'SUBSCRIBE with subscription identifier 0', subscribe(5, { properties: [0x0b, 0] })),
    row('4.13.1-1', 'SUBSCRIBE with two subscription identifiers', subscribe(5, { properties: [0x0b, 1, 0x0b, 2] })),
    row(
      '4.13.1-1',
      'SUBSCRIBE with a subscription identifier of five bytes',
      subscribe(5, { properties: [0x0b, 0x80, 0x80, 0x80, 0x80, 1] }),
      MALFORMED,
    ),
    row('4.13.1-1', 'SUBSCRIBE with a reason string', subscribe(5, { properties: [0x1f, sized('')] }), MALFORMED),
    row('4.13.1-1', 'SUBSCRIBE with retain handling 3', subscribe(5, { filters: [['t', 0x30]] })),
    row('3.8.3-5', 'SUBSCRIBE with both reserved options', subscribe(5, { filters: [['t', 0xc0]] }), MALFORMED),
    row('3.8.3-4', 'a shared subscription with no local', subscribe(5, { filters: [['$share/g/t', 0x04]] })),
    row('4.8.2-1', 'a share without a name', subscribe(5, { filters: [['$share//t', 0]] }), MALFORMED),
    row('4.8.2-2', 'a share without a filter', subscribe(5, { filters: [['$share/g', 0]] }), MALFORMED),
    row('4.8.2-2', 'a share with an empty filter', subscribe(5, { filters: [['$share/g/', 0]] }), MALFORMED),
    row('4.8.2-2', 'a share with + in its name', subscribe(5, { filters: [['$share/g+/t', 0]] }), MALFORMED),
    row('4.8.2-2', 'a share with # in its name', unsubscribe(5, { filters: ['$share/#/t'] }), MALFORMED),
    row('4.7.1-1', 'a share of a#', subscribe(5, { filters: [['$share/g/a#', 0]] }), MALFORMED),
    row('4.13.1-1', 'UNSUBSCRIBE with a subscription identifier', unsubscribe(5, { properties: [0x0b, 1] }), MALFORMED),
    row('3.14.2-1', 'DISCONNECT with reason code 0x01', packet(0xe0, 0x01)),
    row('3.14.2-1', 'DISCONNECT with the reason code of a server that shuts down', packet(0xe0, 0x8b, 0)),
    row('4.13.1-1', 'DISCONNECT that revives a session of no duration', packet(0xe0, 0, 5, 0x11, u32(9))),
    row('4.13.1-1', 'DISCONNECT with a server reference', packet(0xe0, 0, 4, 0x1c, sized('s'))),
    row(
      '4.13.1-1',
      'DISCONNECT with its session expiry interval twice',
      packet(0xe0, 0, 10, 0x11, u32(0), 0x11, u32(0)),
    ),
    row('4.13.1-1', 'DISCONNECT with bytes behind its properties', packet(0xe0, 0, 0, 0), MALFORMED),
    row('3.15.1-1', 'AUTH with flags', packet(0xf1, 0x18, 0), MALFORMED),
    row('4.12.0-7', 'AUTH that was not agreed', packet(0xf0, 0x18, 4, 0x15, sized('m'))),
    row('4.12.0-7', 'AUTH again that was not agreed', packet(0xf0, 0x19, 4, 0x15, sized('m'))),
    row('3.15.2-1', 'AUTH without a reason code', packet(0xf0)),
    row('3.15.2-1', 'AUTH with reason code 0x00', packet(0xf0, 0, 0)),
    { ...row('4.12.0-5', 'AUTH without a method', packet(0xf0, 0x18, 0), PROTOCOL_ERROR, withMethod), guardOnly: true },
  ];
}

export const packetRows: readonly Row[] = [
  ...header(4),
  ...header(5),
  ...([3, 4, 5] as const).flatMap((version) => [...publishing(version), ...subscribing(version)]),
  ...v3(),
  ...v5(),
];
