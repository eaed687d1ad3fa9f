import mqttPacket from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { Guard } from '../../../src/mqtt/guard/guard.ts';
import { randomFrom } from '../../support/random.ts';
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
} from './bytes.ts';
import { judge, LIMITS, split } from './machine.ts';

const versions = [3, 4, 5] as const;

/** What is unusual and right. */
type Case = readonly [what: string, packet: Buffer];
function unusual(version: Version): Case[] {
  const longest = 'x'.repeat(65_535);
  return [
    ['the longest topic', publish(version, { topic: longest })],
    ['a topic of one slash', publish(version, { topic: '/' })],
    ['a topic with a space and a dollar sign', publish(version, { topic: '$a b/c' })],
    ['a topic of 100 levels', publish(version, { topic: Array(100).fill('l').join('/') })],
    ['U+FEFF, which is a character like others [MQTT-1.5.3-3]', publish(version, { topic: '\ufeff' })],
    ['control characters, which only should not be', publish(version, { topic: '\u0001\u007f\u009f' })],
    [
      'the ends of the ranges of UTF-8',
      publish(version, { topic: '\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{10ffff}' }),
    ],
    ['no payload', publish(version, { payload: [] })],
    ['a payload that is no UTF-8', publish(version, { payload: [0, 0xff, 0xc0] })],
    ['DUP with QoS 1', publish(version, { flags: 0x0a })],
    ['all flags', publish(version, { flags: 0x0d })],
    ['the highest packet identifier', publish(version, { id: 65_535 })],
    [
      'all wildcards',
      subscribe(version, {
        filters: [
          ['+/+/#', 0],
          ['#', 1],
          ['+', 2],
          ['/+', 0],
          ['a/#', 0],
          ['+/', 0],
        ],
      }),
    ],
    ['UNSUBSCRIBE from several', unsubscribe(version, { filters: ['a', '#', '+/b'] })],
    [
      'a share without its form, where it is an ordinary filter',
      subscribe(version, { filters: [[version === 5 ? 'share' : '$share', 0]] }),
    ],
    ['PUBREL', packet(0x62, u16(1))],
    ['PINGREQ', packet(0xc0)],
  ];
}

const unusualV5: Case[] = [
  [
    'every property of PUBLISH',
    publish(5, {
      properties: [
        0x01,
        1,
        0x02,
        u32(0xffffffff),
        0x23,
        u16(32),
        0x08,
        sized('r'),
        0x09,
        sized(0, 255),
        0x03,
        sized('t'),
      ],
    }),
  ],
  [
    'user properties that repeat',
    publish(5, { properties: [0x26, sized('a'), sized(''), 0x26, sized('a'), sized('')] }),
  ],
  ['properties beyond one length byte', publish(5, { properties: [0x26, sized('n'), sized('v'.repeat(20_000))] })],
  ['a payload that is no UTF-8 although it is said to be', publish(5, { properties: [0x01, 1], payload: [0xff] })],
  ['PUBACK with a reason code alone', packet(0x40, u16(1), 0x10)],
  ['PUBACK with a reason string', packet(0x40, u16(1), 0x97, 4, 0x1f, sized('s'))],
  ['PUBREL for an identifier that is not there', packet(0x62, u16(1), 0x92, 0)],
  [
    'a shared subscription',
    subscribe(5, { properties: [0x0b, variable(268_435_455)], filters: [['$share/g/+/t', 0x2a]] }),
  ],
  ['AUTH where it was agreed', packet(0xf0, 0x18, 8, 0x15, sized('m'), 0x16, sized('d'))],
  ['a DISCONNECT with everything', packet(0xe0, 4, 14, 0x11, u32(0), 0x1f, sized('r'), 0x26, sized(''), sized(''))],
];

describe.each(versions)('valid bytes of MQTT version %i', (version) => {
  it.each(unusual(version))('pass: %s', (_what, bytes) => {
    const all = Buffer.concat([connect(version), bytes]);
    for (const chunks of [[all], split(all, 1), split(all, 7)]) {
      const { valid, violation } = judge(chunks);
      expect(violation).toBeUndefined();
      expect(valid.equals(all)).toBe(true);
    }
  });

  it.each<Case>([
    ['a will', connect(version, { flags: 0x36, rest: [properties(version), sized('w'), sized(0, 255)] })],
    ['user name and password', connect(version, { flags: 0xc2, rest: [sized(''), sized(255)] })],
    ['a client identifier that is long', connect(version, { id: 'i'.repeat(10_000) })],
    ['a session that stays', connect(version, { flags: 0 })],
    ...(version === 3 ? [] : [['an empty client identifier', connect(version, { id: '' })] as const]),
    ...(version === 5 ? [['a password alone', connect(5, { flags: 0x42, rest: sized('p') })] as const] : []),
  ])('pass: CONNECT with %s', (_what, bytes) => {
    expect(judge([bytes])).toMatchObject({ valid: bytes, violation: undefined });
  });
});

it.each(unusualV5)('valid bytes of MQTT 5 pass: %s', (_what, each) => {
  const all = Buffer.concat([connect(5, { properties: [0x15, sized('m'), 0x11, u32(9)] }), each]);
  for (const chunks of [[all], split(all, 1)])
    expect(judge(chunks)).toMatchObject({ valid: all, violation: undefined });
});

describe('topic aliases', () => {
  it('may stand for the topic once they are set, on one connection', () => {
    const set = publish(5, { properties: [0x23, u16(32)] });
    const used = publish(5, { topic: '', properties: [0x23, u16(32)] });
    expect(judge([connect(5), set, used, used]).violation).toBeUndefined();
    expect(judge([connect(5), used]).violation?.message).toContain('never set');
    expect(judge([connect(5), set, publish(5, { topic: '', properties: [0x23, u16(31)] })]).violation).toBeDefined();
  });

  it('are refused where none is allowed', () => {
    const limits = { ...LIMITS, topicAliasMaximum: 0 };
    expect(judge([connect(5), publish(5, { properties: [0x23, u16(1)] })], limits).violation?.reasonCode).toBe(0x94);
  });
});

describe('a session expiry interval in DISCONNECT', () => {
  it('may change what CONNECT set', () => {
    const disconnect = packet(0xe0, 0, 5, 0x11, u32(60));
    const session = connect(5, { properties: [0x11, u32(1)] });
    expect(judge([session, disconnect]).violation).toBeUndefined();
    expect(judge([connect(5), disconnect]).violation).toBeDefined();
  });
});

describe('chunks', () => {
  const random = randomFrom();

  it(`of any size give the same, packets whole and in order (seed ${random.seed})`, () => {
    for (const version of versions) {
      const all = Buffer.concat([
        connect(version),
        ...Array.from({ length: 200 }, () => {
          const payload = Buffer.alloc(random.int(random.pick([2, 200, 20_000])), random.int(256));
          return random.pick([
            () => publish(version, { flags: random.pick([0, 2, 4]), payload, topic: 't'.repeat(1 + random.int(300)) }),
            () => subscribe(version),
            () => packet(0xc0),
            () => packet(0x62, u16(5)),
          ])();
        }),
      ]);
      for (let run = 0; run < 10; run++) {
        const chunks: Buffer[] = [];
        const size = random.pick([10, 100, 1_000, 5_000, 100_000]);
        for (let at = 0; at < all.length;) {
          const end = Math.min(all.length, at + 1 + random.int(size));
          chunks.push(all.subarray(at, end));
          at = end;
        }
        const { valid, violation } = judge(chunks);
        expect(violation).toBeUndefined();
        expect(valid.equals(all)).toBe(true);
      }
    }
  });

  it('pass as they came, without a copy, where a head is whole', () => {
    const first = Buffer.concat([connect(4), publish(4), publish(4)]);
    expect(judge([first]).pieces).toEqual([first]);
    expect(judge([first]).pieces[0]).toBe(first);

    // A payload in three pieces, and the packet after it.
    const large = publish(4, { payload: Buffer.alloc(100_000) });
    const chunks = [
      connect(4),
      large.subarray(0, 40_000),
      large.subarray(40_000, 80_000),
      bytes(large.subarray(80_000), publish(4)),
    ];
    const { pieces } = judge(chunks);
    expect(pieces).toHaveLength(chunks.length);
    for (const [index, piece] of pieces.entries()) expect(piece).toBe(chunks[index]);
  });

  it('that break a head cost a copy of that head alone', () => {
    const large = publish(4, { payload: Buffer.alloc(100_000) });
    const tail = large.subarray(3);
    const { pieces } = judge([connect(4), bytes(publish(4), large.subarray(0, 3)), tail]);
    expect(Buffer.concat(pieces).equals(bytes(connect(4), publish(4), large))).toBe(true);
    expect(pieces.at(-1)?.buffer).toBe(tail.buffer);
    expect(pieces.at(-2)?.length).toBe(large.length - 100_000);
  });

  it('that are crumbs of a payload are put together', () => {
    const large = publish(4, { payload: Buffer.alloc(100_000) });
    const { pieces, valid } = judge([connect(4), ...split(large, 10)]);
    expect(valid.equals(bytes(connect(4), large))).toBe(true);
    expect(pieces.length).toBeLessThan(110);
  });
});

/** A buffer that counts which of its bytes were read. */
function counted(bytes: Buffer): { bytes: Buffer; reads: () => number; readFrom: (at: number) => number } {
  const reads = new Map<number, number>();
  const proxy = new Proxy(bytes, {
    get(target, name) {
      if (typeof name === 'string' && /^\d+$/.test(name)) reads.set(Number(name), (reads.get(Number(name)) ?? 0) + 1);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const sum = (from: number): number => {
    let total = 0;
    for (const [at, count] of reads) if (at >= from) total += count;
    return total;
  };
  return { bytes: proxy, reads: () => sum(0), readFrom: sum };
}

describe.each([4, 5] as const)('the work for a PUBLISH, MQTT version %i,', (version) => {
  it('is its head, read once, whatever its payload', () => {
    const guard = new Guard(LIMITS);
    guard.take(connect(version), () => undefined);
    const topic = 'devices/some-device/telemetry';
    const message = publish(version, { topic, payload: Buffer.alloc(10_000, 1) });
    const { bytes: seen, reads, readFrom } = counted(message);
    guard.take(seen, () => undefined);
    const head = message.length - 10_000;
    expect(readFrom(head)).toBe(0);
    expect(reads()).toBeLessThan(head + 16);
  });
});

describe('what is held', () => {
  function held(...chunks: Buffer[]): number {
    const guard = new Guard(LIMITS);
    let most = 0;
    for (const chunk of chunks) {
      expect(guard.take(chunk, () => undefined)).toBeUndefined();
      most = Math.max(most, guard.heldBytes);
    }
    return most;
  }

  it('of a client that claims 64 KB and sends a few bytes is a few hundred', () => {
    const claim = bytes(0x10, variable(65_000), u16(4), 'MQTT', 5);
    expect(held(...split(claim, 1))).toBeLessThan(600);
  });

  it('is at most a head, and little of a payload', () => {
    const many = subscribe(4, { filters: Array.from({ length: 5_000 }, (_, index) => [`f/${index}`, 0] as const) });
    expect(held(connect(4), ...split(many.subarray(0, -1), 1_000))).toBeLessThanOrEqual(many.length);
    const large = publish(4, { payload: Buffer.alloc(200_000) });
    expect(held(connect(4), ...split(large, 100))).toBeLessThan(5_000);
  });

  it('is nothing after a violation or a DISCONNECT, and nothing is taken then', () => {
    for (const last of [packet(0xe0), packet(0x00)]) {
      const guard = new Guard(LIMITS);
      const passed: Buffer[] = [];
      guard.take(bytes(connect(4), last, publish(4)), (valid) => passed.push(valid));
      expect(guard.take(publish(4), (valid) => passed.push(valid))).toBeUndefined();
      expect(Buffer.concat(passed)).toEqual(last[0] === 0xe0 ? bytes(connect(4), last) : connect(4));
    }
  });
});

describe('limits', () => {
  it('bound CONNECT before, and other packets after it', () => {
    const limits = { ...LIMITS, connectMaxBytes: 100, packetMaxBytes: 1_000 };
    expect(judge([connect(4, { id: 'i'.repeat(100) })], limits).violation?.message).toContain('larger');
    expect(judge([connect(4), publish(4, { payload: Buffer.alloc(900) })], limits).violation).toBeUndefined();
    expect(judge([connect(4), publish(4, { payload: Buffer.alloc(1_000) })], limits).violation?.message).toContain(
      'larger',
    );
  });

  it('are told to a CONNECT that has named MQTT 5 by then, with 0x95', () => {
    const tooLarge = connect(5, { id: 'i'.repeat(200) });
    const limits = { ...LIMITS, connectMaxBytes: 100 };
    expect(judge([tooLarge], limits).violation?.answer).toEqual(Buffer.of(0x20, 3, 0, 0x95, 0));
    expect(judge([tooLarge.subarray(0, 5)], limits).violation?.answer).toBeUndefined();
  });
});

it('takes all that mqtt-packet writes', () => {
  const random = randomFrom();
  const text = (): string => random.pick(['', 'a', 'ü/ß', 'a'.repeat(300)]);
  const userProperties = { a: ['1', '2'], b: text() };
  for (const protocolVersion of [4, 5] as const) {
    const v5 = protocolVersion === 5;
    const write = (one: object): Buffer => mqttPacket.generate(one as never, { protocolVersion });
    const all = [
      {
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion,
        clientId: 'c',
        clean: true,
        keepalive: 10,
        username: 'u',
        password: 'p',
        will: {
          topic: 'w',
          payload: 'gone',
          qos: 2,
          retain: true,
          ...(v5 ? { properties: { willDelayInterval: 3, userProperties } } : {}),
        },
        ...(v5
          ? {
              properties: {
                sessionExpiryInterval: 5,
                receiveMaximum: 7,
                requestProblemInformation: false,
                userProperties,
              },
            }
          : {}),
      },
      {
        cmd: 'publish',
        topic: 't',
        payload: text(),
        qos: 1,
        messageId: 3,
        retain: true,
        dup: true,
        properties: { topicAlias: 3, userProperties },
      },
      {
        cmd: 'subscribe',
        messageId: 4,
        subscriptions: [{ topic: '#', qos: 2, nl: true, rap: true, rh: 2 }],
        properties: { subscriptionIdentifier: 145, userProperties },
      },
      { cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['#'], properties: { userProperties } },
      { cmd: 'pubrec', messageId: 6, reasonCode: 0x10, properties: { reasonString: text() } },
      { cmd: 'pubrel', messageId: 6, reasonCode: 0, properties: { reasonString: text(), userProperties } },
      { cmd: 'pingreq' },
      { cmd: 'disconnect', reasonCode: 4, properties: { reasonString: text(), sessionExpiryInterval: 9 } },
    ];
    const sent = Buffer.concat(all.map(write));
    expect(judge([sent])).toMatchObject({ violation: undefined });
    expect(judge([sent]).valid).toEqual(sent);
  }
});
