import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSluice, type Sluice, type SluiceStatus } from '../../src/index.ts';
import { createNullSink } from '../../src/kafka/null-sink.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { eventually } from '../support/eventually.ts';
import { metric, parseMetrics, type Family } from '../support/prometheus.ts';
import { assertBalance } from '../support/sluice.ts';

let sluice: Sluice;
beforeAll(async () => {
  sluice = createSluice(
    {
      listeners: { mqtt: { port: 0 }, ws: false },
      buffer: { store: 'memory' },
      routes: [{ name: 'telemetry', from: 'devices/#', to: 'iot' }],
      log: { level: 'silent' },
    },
    { sink: createNullSink({ partitions: 3 }) },
  );
  await sluice.start();
});
afterAll(() => sluice.stop());

const scrape = async (): Promise<Map<string, Family>> => parseMetrics(await sluice.metrics());

describe('a scrape', () => {
  it('follows the conventions: names, units, types, a text for each', async () => {
    const families = await scrape();
    expect(families.size).toBeGreaterThan(50);
    for (const [name, { type, help, samples }] of families) {
      expect(name).toMatch(/^(sluice|process|nodejs)_[a-z0-9_]+$/);
      expect(help, name).toMatch(/\.$/);
      expect(name.endsWith('_total'), `${name} is a ${type}`).toBe(type === 'counter');
      expect(name, 'base units').not.toMatch(/(_ms|_milliseconds|_kb|_mb)(_|$)/);
      for (const value of samples.values()) expect(value, name).not.toBeNaN();
    }
  });

  it('counts what was published, appended, acknowledged and delivered', async () => {
    const before = await scrape();
    for (let n = 0; n < 20; n++) await sluice.publish({ topic: 'devices/d1', payload: 'x' });
    await sluice.publish({ topic: 'elsewhere', payload: 'x' });
    await expect(sluice.publish({ topic: '$SYS/x', payload: 'x' })).rejects.toThrow();
    await eventually(async () => metric(await scrape(), 'sluice_ledger_buffered') === 0);
    const after = await scrape();
    const grown = (name: string, labels = ''): number =>
      metric(after, name, labels) - (before.get(name)?.samples.get(labels) ?? 0);
    expect(grown('sluice_ledger_accepted_total')).toBe(20);
    expect(grown('sluice_ledger_delivered_total')).toBe(20);
    expect(grown('sluice_kafka_records_total')).toBe(20);
    expect(grown('sluice_route_records_total', '{route="telemetry"}')).toBe(20);
    expect(grown('sluice_messages_unrouted_total')).toBe(1);
    expect(grown('sluice_messages_refused_total', '{reason="reserved-topic"}')).toBe(1);
    expect(grown('sluice_append_messages', '_sum')).toBe(20);
    expect(grown('sluice_append_duration_seconds', '_count')).toBeGreaterThan(0);
    expect(grown('sluice_acknowledge_duration_seconds', '_count')).toBe(
      grown('sluice_append_duration_seconds', '_count'),
    );
    expect(grown('sluice_delivery_duration_seconds', '_count')).toBeGreaterThan(0);
    expect(metric(after, 'sluice_ledger_imbalance')).toBe(0);
  });
});

describe('labels', () => {
  it('stay bounded where a route makes a topic per device', async () => {
    const status = await sluice.status();
    const lanes = Array.from({ length: 10_000 }, (_, index) => ({
      topic: `device-${index}`,
      partition: 0,
      queued: index,
      inFlight: 0,
      oldestAt: Date.now() - index,
      faultMs: undefined,
      error: undefined,
    }));
    const text = await new Metrics(() => Promise.resolve({ ...status, kafka: { ...status.kafka, lanes } })).render();
    const { samples } = parseMetrics(text).get('sluice_lane_queued_records')!;
    expect(samples.size).toBe(501);
    expect(samples.get('{topic="device-9999",partition="0"}')).toBe(9_999);
    // Nothing is left out of the sum.
    expect([...samples.values()].reduce((sum, value) => sum + value, 0)).toBe((10_000 * 9_999) / 2);
  });

  it('lose what is no more', async () => {
    const status = await sluice.status();
    const lane = { topic: 'gone', partition: 0, queued: 1, inFlight: 0, oldestAt: undefined, faultMs: 5, error: 'x' };
    let lanes = [lane];
    const metrics = new Metrics(() => Promise.resolve({ ...status, kafka: { ...status.kafka, lanes } }));
    expect(await metrics.render()).toContain('topic="gone"');
    lanes = [];
    expect(await metrics.render()).not.toContain('topic="gone"');
  });
});

describe('the imbalance', () => {
  const unbalanced = (status: SluiceStatus): SluiceStatus => ({
    ...status,
    ledger: { ...status.ledger, imbalance: -2 },
  });

  it('shows in the gauge and fails the test that left it', async () => {
    const status = unbalanced(await sluice.status());
    const families = parseMetrics(await new Metrics(() => Promise.resolve(status)).render());
    expect(metric(families, 'sluice_ledger_imbalance')).toBe(-2);
    expect(() => assertBalance(status.ledger)).toThrow('out of balance by -2');
  });
});

it('costs less than 3% of a message, whatever the append brings', async () => {
  const metrics = new Metrics(() => sluice.status());
  const rounds = 20_000;
  for (let n = 0; n < rounds; n++) metrics.appended(n % 500, n, 0.4, 1.2);
  // CPU time: the machine may be busy with something else.
  const start = process.cpuUsage();
  for (let n = 0; n < rounds; n++) {
    metrics.appended(n % 500, n, 0.4, 1.2);
    metrics.delivered(Date.now());
    metrics.requested(3);
  }
  const { user, system } = process.cpuUsage(start);
  const microseconds = (user + system) / rounds;
  // An append, its acknowledgements and its Kafka request cost hundreds of microseconds with one message in it.
  expect(microseconds).toBeLessThan(20);
});
