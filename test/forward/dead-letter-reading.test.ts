/** What is written as a dead letter is read as the message that it was. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { messageOf, readDeadLetter, type FoundRecord } from '../../src/forward/dead-letter-reading.ts';
import type { DeadLetter } from '../../src/forward/dead-letter-record.ts';
import { Mapper } from '../../src/forward/mapper.ts';
import type { MappedRecord } from '../../src/forward/mapping.ts';
import { Origin, type Message } from '../../src/message.ts';
import { compileRouteSet } from '../../src/payload/index.ts';
import { randomFrom, type Random } from '../support/random.ts';
import { decodeRecord } from './record-decoder.ts';

const LOG = 'vNPJBXuOTrQ';
const letter: DeadLetter = {
  topic: 'dead',
  route: 'r',
  code: 'PAYLOAD_INVALID',
  reason: 't: expected a number',
  originalTopic: 'iot',
  originalPartition: 3,
  attempt: 1,
};

const mapper = new Mapper(
  compileRouteSet([
    {
      name: 'r',
      from: 'devices/#',
      to: 'iot',
      key: '{clientId}',
      // Names that a publisher's properties may want as well.
      headers: { 'content-type': 'text/plain', mine: 'route', b: '{topic}' },
    },
  ]),
);

function found(message: Message, change: Partial<DeadLetter> = {}): FoundRecord {
  const out: MappedRecord[] = [];
  mapper.mapDeadLetter(message, 42, LOG, 1, { ...letter, ...change }, out);
  const { value, headers } = decodeRecord(out[0]!.slice);
  return { offset: 7, timestamp: message.receivedAt, value, headers };
}

function randomMessage(random: Random): Message {
  const text = (): string =>
    Array.from({ length: random.int(12) }, () => random.pick(['a', 'é', '/', '漢', ' '])).join('');
  const maybe = <T>(make: () => T): T | undefined => (random.int(2) === 0 ? undefined : make());
  const names = ['a', 'b', 'mine', 'content-type', 'Content-Type', 'sluice-id', 'mqtt-qos', 'mqtt-response-topic', ''];
  const all = {
    payloadFormatIndicator: maybe(() => random.int(2) === 1),
    messageExpiryInterval: maybe(() => random.int(1_000)),
    contentType: maybe(text),
    responseTopic: maybe(text),
    correlationData: maybe(() => randomBytes(random.int(9))),
    userProperties: maybe(() =>
      Array.from({ length: 1 + random.int(5) }, (): [string, string] => [random.pick(names), text()]),
    ),
  };
  const properties = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return {
    clientId: `c${random.int(3)}`,
    user: random.int(2) === 0 ? '' : 'ann',
    topic: `devices/${random.int(9)}/t`,
    payload: randomBytes(random.int(40)),
    qos: random.pick([0, 1, 2] as const),
    retain: random.int(2) === 1,
    dup: random.int(2) === 1,
    origin: random.pick([Origin.mqtt, Origin.will] as const),
    receivedAt: 1_700_000_000_000 + random.int(1e6),
    properties: properties,
  };
}

describe('a dead letter that is read', () => {
  const random = randomFrom();

  it(`is the message that it was, whatever its properties are called (seed ${random.seed})`, () => {
    for (let round = 0; round < 2_000; round++) {
      const message = randomMessage(random);
      const record = found(message);
      const read = readDeadLetter(2, record)!;
      expect(messageOf(read, record)).toEqual({
        ...message,
        properties: { ...message.properties, replayOf: `${LOG}:1:42` },
      });
    }
  });

  it('says why it is one, and where it stood', () => {
    expect(readDeadLetter(2, found(randomMessage(random)))).toMatchObject({
      partition: 2,
      offset: 7,
      sluiceId: `${LOG}:1:42`,
      code: 'PAYLOAD_INVALID',
      reason: 't: expected a number',
      route: 'r',
      originalTopic: 'iot',
      incomplete: undefined,
    });
  });

  it('keeps its name when it becomes a dead letter again, and when it is delivered', () => {
    const message = randomMessage(random);
    const again = messageOf(readDeadLetter(0, found(message))!, found(message));
    expect(readDeadLetter(0, found(again))!.sluiceId).toBe(`${LOG}:1:42`);
    const out: MappedRecord[] = [];
    mapper.map(again, 99, 'otherlogid1', 3, out);
    const ids = decodeRecord(out[0]!.slice).headers.filter(([name]) => name === 'sluice-id');
    expect(ids.map(([, value]) => value?.toString())).toEqual([`${LOG}:1:42`]);
  });

  it('that was cut cannot be put in again, and says so', () => {
    const message = { ...randomMessage(random), payload: Buffer.alloc(100_000) };
    expect(readDeadLetter(0, found(message, { maxBytes: 20_000 }))!.incomplete).toBe(
      'its payload of 100000 bytes was cut',
    );
    const long = { ...message, payload: Buffer.of(1), topic: `devices/${'x'.repeat(30_000)}` };
    expect(readDeadLetter(0, found(long, { maxBytes: 20_000 }))!.incomplete).toMatch(/headers were left out/);
  });

  it('is told from other records of its topic', () => {
    expect(
      readDeadLetter(0, { offset: 1, timestamp: 0, value: null, headers: [['mqtt-topic', Buffer.of(1)]] }),
    ).toBeUndefined();
  });
});
