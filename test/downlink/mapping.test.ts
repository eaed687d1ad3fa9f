import { describe, expect, it } from 'vitest';
import type { DownlinkDefinition } from '../../src/downlink/definition.ts';
import { compileDownlink, type Mapped } from '../../src/downlink/mapping.ts';
import { definition, record } from './support.ts';

const NOW = 1_000_500;

function map(more: Partial<DownlinkDefinition>, of: Parameters<typeof record>[0] = {}): Mapped {
  const { mapper, problems } = compileDownlink(definition(more), 1_000);
  expect(problems).toEqual([]);
  return mapper!.map(record(of), NOW);
}

function topicOf(to: string, of: Parameters<typeof record>[0] = {}): string {
  const mapped = map({ to }, of);
  return mapped.kind === 'message' ? mapped.message.topic : `${mapped.kind}: ${JSON.stringify(mapped)}`;
}

describe('the MQTT topic', () => {
  it('is made of key, headers, fields of the value, and place', () => {
    expect(topicOf('devices/{key}/commands')).toBe('devices/d1/commands');
    expect(topicOf('{topic}/{partition}/{offset}', { offset: 7 })).toBe('commands/0/7');
    expect(
      topicOf('a/{header.site}', {
        headers: [
          ['site', 'oslo'],
          ['site', 'bergen'],
        ],
      }),
    ).toBe('a/bergen');
    expect(topicOf('a/{value.to.id}', { value: '{"to":{"id":5}}' })).toBe('a/5');
    expect(topicOf('a/{value[1]}', { value: '["x","y"]' })).toBe('a/y');
    expect(topicOf('{{a}}/{key}')).toBe('{a}/d1');
  });

  it('has no levels that the template does not have', () => {
    for (const key of ['a/b', '+', '#', 'a\0', '', null, Buffer.from([0xff])]) {
      expect(map({}, { key }), String(key)).toMatchObject({ kind: 'fault', code: 'TOPIC' });
    }
  });

  it('is what the record says where the template is one name', () => {
    expect(topicOf('{key}', { key: 'a/b/c' })).toBe('a/b/c');
    expect(map({ to: '{key}' }, { key: 'a/#' })).toMatchObject({ code: 'TOPIC' });
    expect(map({ to: '{key}' }, { key: '$SYS/x' })).toMatchObject({ code: 'TOPIC' });
    expect(map({ to: '{key}' }, { key: 'x'.repeat(65_536) })).toMatchObject({ code: 'TOPIC' });
  });

  it('is not made where the record lacks what it names', () => {
    expect(map({ to: 'a/{header.site}' })).toMatchObject({
      code: 'TOPIC',
      reason: 'the record has nothing for {header.site}',
    });
    expect(map({ to: 'a/{value.id}' }, { value: '{"__proto__":{"id":1}}' })).toMatchObject({ code: 'TOPIC' });
    expect(map({ to: 'a/{value.id}' }, { value: 'no json' })).toMatchObject({ code: 'VALUE' });
  });
});

describe('the message', () => {
  it('has the value as its payload, byte for byte; none is empty', () => {
    const value = Buffer.from([0, 255, 7]);
    expect(map({ qos: 2, retain: true }, { value })).toEqual({
      kind: 'message',
      message: { topic: 'devices/d1/commands', payload: value, qos: 2, retain: true },
    });
    expect(map({}, { value: null })).toMatchObject({ message: { payload: Buffer.alloc(0) } });
  });

  it('with value: json has one that is JSON', () => {
    expect(map({ value: 'json' }, { value: '{"a": 1}' })).toMatchObject({
      message: { payload: Buffer.from('{"a": 1}') },
    });
    expect(map({ value: 'json' }, { value: '{' })).toMatchObject({ kind: 'fault', code: 'VALUE' });
  });

  it('has the headers that were asked for as user properties', () => {
    const headers: [string, string | Buffer][] = [
      ['a', '1'],
      ['b', '2'],
      ['a', 'ø'],
    ];
    expect(map({ userProperties: ['a', 'c'] }, { headers })).toMatchObject({
      message: {
        properties: {
          userProperties: [
            ['a', '1'],
            ['a', 'ø'],
          ],
        },
      },
    });
    for (const bad of [Buffer.from([0xff]), 'a\0b', 'x'.repeat(65_536)])
      expect(map({ userProperties: ['a'] }, { headers: [['a', bad]] })).toMatchObject({ code: 'PROPERTIES' });
  });

  it('lives as long as it may from the time of the record', () => {
    expect(map({ messageExpiryMs: 10_000 })).toMatchObject({ message: { properties: { messageExpiryInterval: 10 } } });
    expect(map({ messageExpiryMs: 10_000 }, { timestamp: NOW - 8_000 })).toMatchObject({
      message: { properties: { messageExpiryInterval: 2 } },
    });
    expect(map({ messageExpiryMs: 10_000 }, { timestamp: NOW + 60_000 })).toMatchObject({
      message: { properties: { messageExpiryInterval: 10 } },
    });
    expect(map({ messageExpiryMs: 10_000 }, { timestamp: NOW - 10_000 })).toEqual({ kind: 'skip', rule: 'expired' });
  });

  it('is not larger than what clients may publish', () => {
    expect(map({}, { value: 'x'.repeat(1_001) })).toMatchObject({ kind: 'fault', code: 'TOO_LARGE' });
  });
});

describe('records', () => {
  it('that the condition does not hold for are passed over', () => {
    const where = 'header["kind"] == "reboot" && value.level > 2.0 && key.startsWith("d") && timestamp > 5';
    const kind: [string, string][] = [['kind', 'reboot']];
    expect(map({ where }, { headers: kind, value: '{"level":3.5}' }).kind).toBe('message');
    expect(map({ where }, { headers: kind, value: '{"level":1.5}' })).toEqual({ kind: 'skip', rule: 'filtered' });
    expect(map({ where }, { value: '{"level":3.5}' })).toMatchObject({ kind: 'fault', code: 'WHERE' });
  });

  it('that a sluice has written do not go down, unless that is asked for', () => {
    const headers: [string, string][] = [['sluice-id', 'x:0:1']];
    expect(map({}, { headers })).toEqual({ kind: 'skip', rule: 'loop' });
    expect(map({}, { headers: [['sluice-downlink', 'other']] })).toEqual({ kind: 'skip', rule: 'loop' });
    expect(map({ fromSluice: 'send' }, { headers }).kind).toBe('message');
  });
});
