import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeFrame, FrameWriter, LOG_ID_BYTES, stampFrame } from '../../src/buffer/frame.ts';
import { isSluiceError } from '../../src/errors.ts';
import { Origin, type Message } from '../../src/message.ts';
import { randomFrom, type Random } from '../support/random.ts';

const logId = randomBytes(LOG_ID_BYTES).toString('base64url');

function message(overrides: Partial<Message> = {}): Message {
  return {
    clientId: 'd1',
    user: '',
    topic: 'devices/d1/telemetry',
    payload: Buffer.from('21.5'),
    qos: 1,
    retain: false,
    dup: false,
    origin: Origin.mqtt,
    receivedAt: 1_700_000_000_000,
    properties: undefined,
    ...overrides,
  };
}

function pack(messages: readonly Message[]): Buffer {
  const writer = new FrameWriter();
  for (const one of messages) writer.add(one);
  const frame = writer.finish();
  stampFrame(frame, logId);
  return frame;
}

function randomText(random: Random): string {
  const alphabet = ['a', '/', '7', 'é', '\u{1F6B0}', '漢', ' ', '{', '__proto__'];
  return Array.from({ length: random.int(40) }, () => random.pick(alphabet)).join('');
}

function randomMessage(random: Random): Message {
  const maybe = <T>(make: () => T): T | undefined => (random.int(2) === 0 ? undefined : make());
  const properties = maybe(() => {
    const all = {
      payloadFormatIndicator: maybe(() => random.int(2) === 1),
      messageExpiryInterval: maybe(() => random.pick([0, 1, 127, 128, 0xffffffff])),
      contentType: maybe(() => randomText(random)),
      responseTopic: maybe(() => randomText(random)),
      correlationData: maybe(() => randomBytes(random.int(50))),
      replayOf: maybe(() => 'vNPJBXuOTrQ:1:6'),
      userProperties: maybe(() =>
        Array.from({ length: 1 + random.int(5) }, (): [string, string] => [randomText(random), randomText(random)]),
      ),
    };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  });
  return message({
    clientId: `c${random.int(5)}`,
    user: random.int(2) === 0 ? '' : `u${random.int(3)}`,
    topic: randomText(random) || 't',
    payload: randomBytes(random.pick([0, 1, 127, 128, 1000, 70_000])),
    qos: random.pick([0, 1, 2] as const),
    retain: random.int(2) === 0,
    dup: random.int(2) === 0,
    origin: random.pick(Object.values(Origin)),
    receivedAt: 1_700_000_000_000 + random.pick([0, 1, -1, 3_600_000, -3_600_000, 1e11, -1e11]),
    properties,
  });
}

describe('a frame', () => {
  it('keeps no more memory than about twice its bytes, however small it is', () => {
    const writer = new FrameWriter();
    for (const bytes of [10, 200_000, 10, 3_000, 10]) {
      writer.add(message({ payload: Buffer.alloc(bytes) }));
      const frame = writer.finish();
      expect(frame.buffer.byteLength).toBeLessThan(2 * frame.length);
      stampFrame(frame, logId);
      expect(decodeFrame(frame).messages[0]?.payload.length).toBe(bytes);
    }
  });

  it('gives back what was packed, in order, with its log id', () => {
    const messages = [message(), message({ clientId: 'd2', payload: Buffer.alloc(0) }), message({ qos: 2, dup: true })];
    const decoded = decodeFrame(pack(messages));
    expect(decoded.logId).toBe(logId);
    expect(decoded.messages).toEqual(messages);
  });

  it('gives back any message', () => {
    const random = randomFrom();
    for (let round = 0; round < 200; round++) {
      const messages = Array.from({ length: 1 + random.int(20) }, () => randomMessage(random));
      assert.deepStrictEqual(decodeFrame(pack(messages)).messages, messages, `seed ${random.seed}`);
    }
  });

  it('stores a client id and a topic once, and decodes them to the same string', () => {
    const many = Array.from({ length: 100 }, () => message({ payload: Buffer.alloc(0) }));
    const frame = pack(many);
    expect(frame.length).toBeLessThan(32 + 40 + 100 * 6);
  });

  it('copies the payload: a later change of the socket chunk does not reach it', () => {
    const payload = Buffer.from('before');
    const frame = pack([message({ payload })]);
    payload.write('after!');
    expect(decodeFrame(frame).messages[0]?.payload.toString()).toBe('before');
  });

  it('can be stamped again with another log id', () => {
    const frame = pack([message()]);
    const other = randomBytes(LOG_ID_BYTES).toString('base64url');
    stampFrame(frame, other);
    expect(decodeFrame(frame).logId).toBe(other);
  });

  it('is found corrupt after a flip of any one bit', () => {
    const frame = pack([message(), message({ clientId: 'd2' })]);
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const damaged = Buffer.from(frame);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      // The version byte is outside the checksum, so that a newer format is told from damage.
      if (bit >> 3 === 2 || bit >> 3 === 3) continue;
      expect(() => decodeFrame(damaged), `bit ${bit}`).toThrow(/corrupt frame/);
    }
  });

  it('is found corrupt when cut short at any length', () => {
    const frame = pack([message()]);
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodeFrame(frame.subarray(0, length)), `length ${length}`).toThrow(/corrupt frame/);
    }
  });

  it('of a newer format is refused by name', () => {
    const frame = pack([message()]);
    frame[2] = 9;
    try {
      decodeFrame(frame);
      expect.unreachable();
    } catch (error) {
      expect(isSluiceError(error, 'STORE_FORMAT')).toBe(true);
      expect(String(error)).toContain('format version 9');
    }
  });

  it('of version 1 stays readable: the stored fixture decodes', () => {
    const fixture = Buffer.from(
      'U0YBAKXUIRhYAAAAAgAAAAAAgFb+vHhCAQIDBAUGBwhBAAJkMQABdQADYS9iAAQyMS41ngEDCX+sAgAKdGV4dC9wbGFpbgABcgIBAgIAAWsBdgYBdwIA/w==',
      'base64',
    );
    assert.deepStrictEqual(decodeFrame(fixture), {
      logId: 'AQIDBAUGBwg',
      messages: [
        message({ user: 'u', topic: 'a/b' }),
        message({
          topic: 'a/b',
          payload: Buffer.from([0, 255]),
          qos: 2,
          retain: true,
          dup: true,
          origin: Origin.will,
          receivedAt: 1_699_999_999_995,
          properties: {
            payloadFormatIndicator: true,
            messageExpiryInterval: 300,
            contentType: 'text/plain',
            responseTopic: 'r',
            correlationData: Buffer.from([1, 2]),
            userProperties: [
              ['k', 'v'],
              ['k', 'w'],
            ],
          },
        }),
      ],
    });
  });
});
