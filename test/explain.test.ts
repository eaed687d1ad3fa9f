import { describe, expect, it } from 'vitest';
import { loadConfig } from '../src/config/load.ts';
import type { SluiceConfigInput } from '../src/config/schema.ts';
import { explain, type Explanation, type ExplainRequest } from '../src/explain.ts';

const told = (routes: SluiceConfigInput['routes'], request: ExplainRequest): Explanation =>
  explain(loadConfig({ input: { routes }, env: {} }).config, {
    clientId: 'd1',
    receivedAt: 1_700_000_000_000,
    ...request,
  });

describe('explain', () => {
  it('tells the records exactly, and why the other routes make none', () => {
    const explanation = told(
      [
        {
          name: 'telemetry',
          from: 'devices/{id}/telemetry',
          to: 'iot.telemetry',
          key: '{id}',
          headers: { h: '{payload.t}' },
        },
        { name: 'hot', from: 'devices/#', to: 'iot.hot', when: 'payload.t > 20.0' },
        { name: 'alarms', from: 'devices/+/alarm', to: 'iot.alarms' },
        { name: 'sites', regex: 'site/.*', to: 'iot.sites' },
        { name: 'system', from: '#', to: 'all', key: '{payload.none}' },
      ],
      { topic: 'devices/d1/telemetry', payload: '{"t":1}', partitions: 8 },
    );
    expect(explanation.routes).toEqual([
      { name: 'telemetry', from: 'devices/{id}/telemetry', records: true, why: undefined },
      { name: 'hot', from: 'devices/#', records: false, why: 'its conditions (when, qos, onlyRetained) do not hold' },
      { name: 'system', from: '#', records: false, why: expect.stringMatching(/^ROUTE_VALUE_MISSING: /) as string },
      { name: 'alarms', from: 'devices/+/alarm', records: false, why: "level 2 is 'telemetry', not 'alarm'" },
      { name: 'sites', from: 'site/.*', records: false, why: 'its expression does not match the whole topic' },
    ]);
    expect(explanation.outcome).toBe('dead letter');
    expect(explanation.records).toHaveLength(1);
    const [record] = explanation.records;
    expect(record).toMatchObject({ route: 'telemetry', topic: 'iot.telemetry', timestamp: 1_700_000_000_000 });
    expect(record?.key?.toString()).toBe('d1');
    expect(record?.value?.toString()).toBe('{"t":1}');
    expect(record?.partition).toBeTypeOf('number');
    expect(Object.fromEntries(record?.headers.map(([name, value]) => [name, String(value)]) ?? [])).toEqual({
      'mqtt-topic': 'devices/d1/telemetry',
      'mqtt-client-id': 'd1',
      'mqtt-qos': '1',
      'mqtt-retain': 'false',
      h: '1',
      'sluice-id': 'explain:0:1',
      'sluice-route': 'telemetry',
    });
  });

  it('tells what stop, reject, rules and no route at all come to', () => {
    const routes: SluiceConfigInput['routes'] = [
      { name: 'first', from: 'a', to: 'a', stop: true },
      { name: 'second', from: '+', to: 'b' },
      { name: 'strict', from: 'x/y', to: 'c', value: 'json', onInvalid: 'reject' },
      { name: 'old', from: 'o/o', to: 'd', expire: '1s' },
      { name: 'none', from: 'f/f', to: 'e', qos: [0] },
    ];
    expect(told(routes, { topic: 'a' })).toMatchObject({
      outcome: 'records',
      records: [{ route: 'first' }],
      routes: [
        { records: true },
        { name: 'second', records: false, why: 'route first stands before it and says stop' },
        {},
        {},
        {},
      ],
    });
    expect(told(routes, { topic: 'x/y', payload: '{' })).toMatchObject({ outcome: 'rejected', records: [] });
    expect(told(routes, { topic: 'o/o' }).outcome).toBe('expired');
    expect(told(routes, { topic: 'f/f' }).outcome).toBe('discarded: filtered');
    expect(told(routes, { topic: 'q/q' }).outcome).toBe('ordinary MQTT');
    expect(told([{ from: '#', to: 't' }], { topic: '$SYS/x' }).routes[0]?.why).toMatch(/begin with \$/);
    expect(() => told(routes, { topic: 'a/#' })).toThrowError(/wildcard/);
  });
});
