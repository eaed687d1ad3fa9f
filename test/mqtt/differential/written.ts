import type { Sequence, Step } from './sequence.ts';

const connect = (client: number, more: Partial<Extract<Step, { does: 'connect' }>> = {}): Step => ({
  does: 'connect',
  client,
  clean: false,
  expiry: 3_600,
  ...more,
});
const subscribe = (client: number, topic: string, qos: 0 | 1 | 2 = 2): Step => ({
  does: 'subscribe',
  client,
  subscriptions: [{ topic, qos }],
});
const publish = (client: number, topic: string, payload: string, qos: 0 | 1 | 2 = 1, retain = false): Step => ({
  does: 'publish',
  client,
  topic,
  payload,
  qos,
  retain,
});
const disconnect = (client: number, more: { reasonCode?: number; expiry?: number } = {}): Step => ({
  does: 'disconnect',
  client,
  ...more,
});

/** What chance may not come to, for both versions of the protocol. */
const written: Readonly<Record<string, readonly Step[]>> = {
  'a message that nobody has subscribed to': [connect(0), ...[0, 1, 2].map((qos) => publish(0, 'a', 'x', qos as 0))],
  'a take-over, and what was in flight': [
    connect(0, { deaf: true }),
    subscribe(0, 'a'),
    connect(1),
    publish(1, 'a', '1', 1),
    publish(1, 'a', '2', 2),
    connect(0),
    publish(1, 'a', '3', 2),
  ],
  'filters that overlap at different QoS': [
    connect(0),
    subscribe(0, 'a/#', 2),
    subscribe(0, 'a/+', 0),
    publish(0, 'a/b', 'x', 2),
  ],
  'every QoS of publish and subscription': [
    connect(0),
    ...[0, 1, 2].flatMap((granted) => [
      subscribe(0, `q/${granted}`, granted as 0),
      ...[0, 1, 2].map((qos) => publish(0, `q/${granted}`, `${qos}`, qos as 0)),
    ]),
  ],
  'a retained message that is replaced, removed, and set again': [
    connect(0),
    publish(0, 'a', '1', 1, true),
    publish(0, 'a', '2', 2, true),
    connect(1),
    subscribe(1, 'a'),
    publish(0, 'a', '', 1, true),
    subscribe(1, 'a'),
    publish(0, 'a', '3', 0, true),
    subscribe(1, '#'),
  ],
  'a filter with # and the level above it': [
    connect(0),
    subscribe(0, 'a/#'),
    publish(0, 'a', '1'),
    publish(0, 'a/b', '2'),
    publish(0, 'ab', '3'),
  ],
  'empty levels': [
    connect(0),
    subscribe(0, '+/+'),
    publish(0, '/', '1'),
    publish(0, '/a', '2'),
    publish(0, 'a/', '3'),
    publish(0, 'a', '4'),
  ],
  'a queue that outlives several connections': [
    connect(0),
    subscribe(0, 'a'),
    disconnect(0),
    connect(1),
    publish(1, 'a', '1', 1),
    publish(1, 'a', '2', 2),
    connect(0, { deaf: true }),
    publish(1, 'a', '3', 1),
    { does: 'drop', client: 0 },
    publish(1, 'a', '4', 2),
    connect(0),
  ],
  'a clean start that ends a session': [
    connect(0),
    subscribe(0, 'a'),
    disconnect(0),
    connect(1),
    publish(1, 'a', 'x'),
    connect(0, { clean: true }),
    publish(1, 'a', 'y'),
    disconnect(0),
    connect(0),
  ],
  'a clean start that takes a session over and leaves none': [
    connect(0),
    connect(0, { clean: true, expiry: 0 }),
    connect(0),
  ],
  'a session that ends with its connection after all': [
    connect(0),
    subscribe(0, 'a'),
    disconnect(0, { expiry: 0 }),
    connect(0),
    publish(0, 'a', 'x'),
  ],
  'wills: a broken connection, DISCONNECT with and without': [
    connect(1),
    subscribe(1, 'wills/+'),
    ...['drop', 0, 4].flatMap((how): Step[] => [
      connect(0, { will: { topic: `wills/${how}`, payload: String(how), qos: 1, retain: false } }),
      how === 'drop' ? { does: 'drop', client: 0 } : disconnect(0, { reasonCode: how as number }),
    ]),
    publish(1, 'wills/end', 'end'),
  ],
  'a retained will': [
    connect(0, { will: { topic: 'w', payload: 'gone', qos: 2, retain: true } }),
    { does: 'drop', client: 0 },
    connect(1),
    subscribe(1, 'w'),
  ],
  'UNSUBSCRIBE of what is there and what is not': [
    connect(0),
    subscribe(0, 'a'),
    subscribe(0, 'b'),
    { does: 'unsubscribe', client: 0, filters: ['a', 'never', 'b/#'] },
    publish(0, 'a', 'x'),
    publish(0, 'b', 'y'),
  ],
  'a client that takes one message at a time': [
    connect(0, { properties: { receiveMaximum: 1 } }),
    subscribe(0, 'a'),
    connect(1),
    ...[1, 2, 3, 4].map((number) => publish(1, 'a', String(number), number % 2 === 0 ? 2 : 1)),
  ],
  'a client that takes small packets alone': [
    connect(0, { properties: { maximumPacketSize: 60 } }),
    subscribe(0, 'a'),
    publish(0, 'a', 'x'.repeat(100)),
    publish(0, 'a', 'small'),
  ],
  'messages with every property': [
    connect(0),
    connect(1),
    subscribe(1, 'a', 2),
    ...[0, 1, 2].map((qos): Step => ({
      does: 'publish',
      client: 0,
      topic: 'a',
      payload: 'x',
      qos: qos as 0,
      properties: {
        payloadFormatIndicator: true,
        contentType: 'text/plain',
        responseTopic: 'answers',
        correlationData: Buffer.from('7'),
        userProperties: { a: ['1', '2'], b: '3' },
      },
    })),
  ],
};

export const writtenSequences: readonly Sequence[] = Object.entries(written).flatMap(([name, steps]) =>
  ([4, 5] as const).map((version) => ({ name: `${name}, MQTT ${version}`, versions: [version, version], steps })),
);
