import { bytes, connect, packet, properties, sized, u16, u32, type Version } from '../bytes.ts';
import { badStrings } from './strings.ts';
import { connackV3, first, of, type Clauses, type Row } from './row.ts';

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const FORMAT: Clauses = ['3.1.4-1', '3.1.4-1'];

function both(version: Version): Row[] {
  const row = (clauses: Clauses, what: string, packet: Buffer, reasonCode = MALFORMED, returnCode?: number): Row =>
    first(version, of(clauses, version), what, packet, reasonCode, returnCode);
  const will = (topic: string | Uint8Array = 'will'): Buffer => bytes(properties(version), sized(topic), sized('gone'));
  const whole = connect(version);
  const flagged = (flags: number, rest: Buffer = Buffer.alloc(0)): Buffer => connect(version, { flags, rest });
  return [
    row(['3.1.2-3', '3.1.2-3'], 'the reserved connect flag', flagged(0x03)),
    row(['3.1.2-13', '3.1.2-11'], 'will QoS 1 without a will', flagged(0x0a)),
    row(['3.1.2-13', '3.1.2-11'], 'will QoS 2 without a will', flagged(0x12)),
    row(['3.1.2-15', '3.1.2-13'], 'will retain without a will', flagged(0x22)),
    row(['3.1.2-14', '3.1.2-12'], 'will QoS 3', flagged(0x1e, will())),
    row(['4.7.1-1', '4.7.0-1'], 'a will to a # filter', flagged(0x06, will('a/#'))),
    row(['4.7.1-1', '4.7.0-1'], 'a will to a + filter', flagged(0x06, will('a/+/b'))),
    row(['4.7.3-1', '4.7.3-1'], 'a will to an empty topic', flagged(0x06, will(''))),
    row(['4.7.3-2', '4.7.3-2'], 'U+0000 in the topic of a will', flagged(0x06, will('a\0b'))),
    row(FORMAT, 'a will flag without a will', flagged(0x06)),
    row(FORMAT, 'a will without its payload', flagged(0x06, bytes(properties(version), sized('will')))),
    row(FORMAT, 'a user name flag without a user name', flagged(0x82)),
    row(FORMAT, 'a password flag without a password', flagged(0xc2, sized('user'))),
    row(FORMAT, 'a user name without its flag', flagged(0x02, sized('user'))),
    row(FORMAT, 'a byte behind the last field', flagged(0x02, bytes(0))),
    row(FORMAT, 'a client identifier longer than the packet', bytes(whole.subarray(0, -5), u16(300), 'row')),
    row(FORMAT, 'a keep alive cut off', packet(0x10, sized(version === 3 ? 'MQIsdp' : 'MQTT'), version, 2, 0)),
    ...badStrings(version).flatMap(({ clauses, what, text }) => [
      row(clauses, `${what} in the client identifier`, connect(version, { id: text })),
      row(clauses, `${what} in the user name`, connect(version, { flags: 0x82, rest: sized(text) })),
    ]),
  ];
}

function v3(version: 3 | 4): Row[] {
  const row = (clause: string, what: string, packet: Buffer, returnCode?: number): Row =>
    first(version, clause, what, packet, undefined, returnCode);
  return [
    row('3.1.2-2', 'a level that nobody speaks', connect(version, { level: 2 }), 1),
    row('3.1.2-2', 'level 0', connect(version, { level: 0 }), 1),
    row('3.1.2-2', 'a level with the bit of a bridge', connect(version, { level: 0x80 | version }), 1),
    row('3.1.2-2', 'the level of the other name', connect(version, { level: version === 3 ? 4 : 3 }), 1),
    row('3.1.2-22', 'a password without a user name', connect(version, { flags: 0x42, rest: sized('secret') })),
    row(
      version === 3 ? '3.1.3-9' : '3.1.3-8',
      'an empty client identifier for a session that stays',
      connect(version, { flags: 0, id: '' }),
      2,
    ),
  ];
}

function v5(): Row[] {
  const row = (clause: string, what: string, packet: Buffer, reasonCode: number): Row =>
    first(5, clause, what, packet, reasonCode);
  const withProperties = (...parts: Parameters<typeof bytes>): Buffer => connect(5, { properties: bytes(...parts) });
  const withWill = (...parts: Parameters<typeof bytes>): Buffer =>
    connect(5, { flags: 6, rest: bytes(properties(5, ...parts), sized('will'), sized('gone')) });
  const valued = (what: string, ...parts: Parameters<typeof bytes>): Row =>
    row('4.13.1-1', what, withProperties(...parts), PROTOCOL_ERROR);
  const twice: [string, Buffer][] = [
    ['session expiry interval', bytes(0x11, u32(10))],
    ['receive maximum', bytes(0x21, u16(10))],
    ['maximum packet size', bytes(0x27, u32(1000))],
    ['topic alias maximum', bytes(0x22, u16(10))],
    ['request response information', bytes(0x19, 1)],
    ['request problem information', bytes(0x17, 0)],
    ['authentication method', bytes(0x15, sized('m'))],
  ];
  const willTwice: [string, Buffer][] = [
    ['will delay interval', bytes(0x18, u32(0))],
    ['payload format indicator', bytes(0x01, 0)],
    ['message expiry interval', bytes(0x02, u32(0))],
    ['content type', bytes(0x03, sized(''))],
    ['response topic', bytes(0x08, sized('r'))],
    ['correlation data', bytes(0x09, sized(''))],
  ];
  return [
    row('3.1.2-2', 'a level that nobody speaks yet', connect(5, { level: 6 }), 0x84),
    row('3.1.2-2', 'level 127', connect(5, { level: 127 }), 0x84),
    {
      ...row('3.1.2-2', 'level 5 under the name of MQTT 3.1', connect(5, { name: 'MQIsdp' }), 0),
      answer: connackV3(1),
    },
    valued('receive maximum 0', 0x21, u16(0)),
    valued('maximum packet size 0', 0x27, u32(0)),
    valued('request response information 2', 0x19, 2),
    valued('request problem information 255', 0x17, 255),
    valued('authentication data without a method', 0x16, sized('data')),
    ...twice.map(([what, each]) => valued(`${what} given twice`, each, each)),
    row(
      '4.13.1-1',
      'authentication data given twice',
      withProperties(0x15, sized('m'), 0x16, sized(''), 0x16, sized('')),
      PROTOCOL_ERROR,
    ),
    ...willTwice.map(([what, each]) =>
      row('4.13.1-1', `${what} of the will given twice`, withWill(each, each), PROTOCOL_ERROR),
    ),
    row('4.13.1-1', 'payload format indicator 2 in the will', withWill(0x01, 2), PROTOCOL_ERROR),
    row('3.3.2-14', 'a response topic with a wildcard in the will', withWill(0x08, sized('a/#')), PROTOCOL_ERROR),
    row('4.13.1-1', 'an unknown property', withProperties(0x7f, 0), MALFORMED),
    row('4.13.1-1', 'a property identifier of two bytes', withProperties(0x81, 0x01, 0), MALFORMED),
    row('4.13.1-1', 'a property of PUBLISH in CONNECT', withProperties(0x23, u16(1)), MALFORMED),
    row('4.13.1-1', 'a property of CONNACK in CONNECT', withProperties(0x24, 1), MALFORMED),
    row('4.13.1-1', 'session expiry interval in the will', withWill(0x11, u32(1)), MALFORMED),
    row('4.13.1-1', 'a topic alias in the will', withWill(0x23, u16(1)), MALFORMED),
    row('3.1.4-1', 'a property cut off by the length of the properties', withProperties(0x11, 0, 0), MALFORMED),
    row(
      '4.13.1-1',
      'properties longer than the packet',
      packet(0x10, sized('MQTT'), 5, 2, u16(60), 100, sized('row')),
      MALFORMED,
    ),
    row(
      '1.5.5-1',
      'a property length of two bytes for one',
      packet(0x10, sized('MQTT'), 5, 2, u16(60), 0x80, 0x00, sized('row')),
      MALFORMED,
    ),
    row('1.5.4-1', 'ill-formed UTF-8 in a user property', withProperties(0x26, sized(0xff), sized('v')), MALFORMED),
    row('1.5.4-2', 'U+0000 in a user property', withProperties(0x26, sized('n'), sized('v\0')), MALFORMED),
    row(
      '1.5.4-1',
      'a surrogate in the authentication method',
      withProperties(0x15, sized(0xed, 0xa0, 0x80)),
      MALFORMED,
    ),
  ];
}

/** The first packet is not one that any version knows: nothing is answered. */
function neither(version: 4 | 5): Row[] {
  const row = (clause: string, what: string, packet: Buffer): Row => first(version, clause, what, packet, undefined);
  const v5 = version === 5;
  return [
    row('3.1.2-1', 'another protocol', connect(version, { name: 'HTTP' })),
    row('3.1.2-1', 'a protocol name in small letters', connect(version, { name: 'mqtt' })),
    row('3.1.2-1', 'an empty protocol name', connect(version, { name: '' })),
    row('2.2.2-2', 'CONNECT with flags', connect(version, { first: 0x11 })),
    row('4.8.0-1', 'a length of five bytes', Buffer.of(0x10, 0x80, 0x80, 0x80, 0x80, 0x01)),
    row('4.8.0-1', 'a length of two bytes for one', bytes(0x10, 0x8c, 0x00, connect(4, { id: '' }).subarray(2))),
    row('4.8.0-2', 'a claim of 256 MB', Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f)),
    row('3.1.4-1', 'an empty CONNECT', Buffer.of(0x10, 0)),
    row('3.1.0-1', 'PUBLISH first', v5 ? Buffer.of(0x30, 4, 0, 1, 0x74, 0) : Buffer.of(0x30, 3, 0, 1, 0x74)),
    row('3.1.0-1', 'PINGREQ first', Buffer.of(0xc0, 0)),
    row('3.1.0-1', 'DISCONNECT first', Buffer.of(0xe0, 0)),
    row('3.1.0-1', 'AUTH first', Buffer.of(0xf0, 0)),
    row('3.1.0-1', 'CONNACK first', Buffer.of(0x20, 2, 0, 0)),
    row('3.1.0-1', 'an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    row('2.2.2-2', 'a TLS handshake', Buffer.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01)),
  ].map((each) => ({ ...each, what: `${each.what} (${v5 ? 'as of MQTT 5' : 'as of MQTT 3.1.1'})` }));
}

export const connectRows: readonly Row[] = [
  ...([3, 4, 5] as const).flatMap(both),
  ...v3(3),
  ...v3(4),
  ...v5(),
  ...neither(4),
  ...neither(5),
];
