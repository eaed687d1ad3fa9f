/** What is wrong and what to do, in words: one broken part at a time. */
import { describe, expect, it } from 'vitest';
import { adviceOf, duration, wordsOf } from '../../src/http/advice.ts';
import { overviewOf } from '../../src/http/overview.ts';
import type { ApiPort } from '../../src/http/port.ts';
import type { RecentDeadLetter, SluiceStatus } from '../../src/status.ts';

const NOW = Date.UTC(2026, 0, 1);
type Shard = SluiceStatus['buffer']['shards'][number];
const shard: Shard = {
  shard: 0,
  owned: true,
  owner: 'me',
  head: 1,
  released: 1,
  buffered: 0,
  bytes: 0,
  parked: [],
  oldestAt: undefined,
  setAside: 0,
};
const well: SluiceStatus = {
  version: '1.0.0',
  pid: 1,
  startedAt: '2026-01-01T00:00:00.000Z',
  state: 'running',
  listeners: [{ name: 'mqtt', host: '127.0.0.1', port: 1883, url: 'mqtt://127.0.0.1:1883', accepting: true }],
  clients: 2,
  connections: { open: 2, turnedAway: 0, receivedBytes: 0, sentBytes: 0, clients: { v31: 0, v311: 0, v5: 2 } },
  routes: [],
  deadLetters: [],
  buffer: {
    store: 'level',
    durability: '',
    weak: [],
    maxBytes: 1_000,
    bytes: 0,
    error: undefined,
    errorSince: undefined,
    shards: [shard],
  },
  kafka: { brokers: ['k1:9092'], error: undefined, errorSince: undefined, weak: [], failingTopics: 0, lanes: [] },
  schemas: [],
  downlinks: [],
  ledger: { accepted: 5, buffered: 0, delivered: 5, deadLettered: 0, expired: 0, discarded: {}, imbalance: 0 },
  counters: {},
  totals: { packets: {}, refused: {}, kafkaFaults: {}, events: {} },
};
const lane = {
  topic: 'iot',
  partition: 0,
  queued: 7,
  inFlight: 0,
  oldestAt: undefined,
  faultMs: undefined,
  error: undefined,
};
const away = {
  ...well,
  kafka: {
    ...well.kafka,
    error: 'Kafka broker k1:9092: connect ECONNREFUSED (CONNECTION_FAILED)',
    errorSince: NOW - 42_000,
  },
  ledger: { ...well.ledger, accepted: 31_209, buffered: 31_204 },
};

describe('advice', () => {
  it('is none while all is well', () => {
    expect(adviceOf(well, [], NOW)).toEqual([]);
    expect(wordsOf(well, NOW)).toEqual({
      listeners: '2 clients on 1 listener',
      buffer: 'Takes messages; nothing waits',
      kafka: 'Takes records',
    });
  });

  it('tells of a Kafka that is away, for how long, and that nothing is lost', () => {
    const [advice] = adviceOf(away, [], NOW);
    expect(advice?.severity).toBe('warning');
    expect(advice?.what).toContain('Kafka unreachable for 42 s; 31,204 messages are safe in the buffer.');
    expect(advice?.todo).toContain('k1:9092');
    expect(wordsOf(away, NOW).kafka).toBe('Kafka unreachable for 42 s; 31,204 messages are safe in the buffer');
  });

  const dead = (at: number): RecentDeadLetter => ({
    at: new Date(at).toISOString(),
    shard: 0,
    offset: 1,
    route: 'r',
    topic: 't',
    code: 'PAYLOAD_INVALID',
    reason: 'no JSON',
  });
  const cases: readonly (readonly [string, SluiceStatus, string, string, RecentDeadLetter[]?])[] = [
    ['a sluice that stops', { ...well, state: 'stopping' }, 'critical', 'sluice is stopping'],
    [
      'a listener that is closed',
      { ...well, listeners: [{ ...well.listeners[0]!, accepting: false }] },
      'critical',
      'accepts no connections',
    ],
    [
      'a shard that nobody delivers',
      { ...well, buffer: { ...well.buffer, shards: [{ ...shard, owner: undefined }] } },
      'critical',
      'Nobody delivers shard 0',
    ],
    [
      'a store that fails',
      { ...well, buffer: { ...well.buffer, error: 'no answer (STORE_TIMEOUT)', errorSince: NOW - 65_000 } },
      'critical',
      'Nothing is acknowledged for 1 min 5 s: no answer',
    ],
    ['a buffer that fills', { ...well, buffer: { ...well.buffer, bytes: 800 } }, 'warning', 'The buffer is 80% full'],
    [
      'messages that are late',
      { ...well, buffer: { ...well.buffer, shards: [{ ...shard, oldestAt: NOW - 400_000 }] } },
      'warning',
      'has waited for 6 min 40 s',
    ],
    [
      'a topic that cannot be written',
      { ...well, kafka: { ...well.kafka, failingTopics: 1, lanes: [{ ...lane, error: 'not there' }] } },
      'warning',
      'The Kafka topic iot cannot be written: not there. 7 messages',
    ],
    [
      'an imbalance',
      { ...well, ledger: { ...well.ledger, imbalance: -3 } },
      'critical',
      'out of balance by 3 messages',
    ],
    [
      'a store that has lost something',
      { ...well, totals: { ...well.totals, events: { 'log.replaced': 1 } } },
      'critical',
      'has lost what it had acknowledged',
    ],
    ['dead letters', well, 'warning', '1 record became dead letters', [dead(NOW - 1_000), dead(NOW - 700_000)]],
    [
      'a weak store',
      { ...well, buffer: { ...well.buffer, weak: ['appendfsync is everysec'] } },
      'notice',
      'Weaker than promised in 1 point',
    ],
  ];
  for (const [name, status, severity, what, recent = []] of cases) {
    it(`tells of ${name}`, () => {
      const [advice, ...more] = adviceOf(status, recent, NOW);
      expect(more).toEqual([]);
      expect(advice?.severity).toBe(severity);
      expect(advice?.what).toContain(what);
      expect(advice?.todo.length).toBeGreaterThan(20);
    });
  }

  it('begins with the gravest', () => {
    const status = { ...away, ledger: { ...away.ledger, imbalance: 1 }, buffer: { ...away.buffer, weak: ['x'] } };
    expect(adviceOf(status, [], NOW).map(({ severity }) => severity)).toEqual(['critical', 'warning', 'notice']);
  });
});

it.each([
  [0, '0 s'],
  [59_999, '59 s'],
  [185_000, '3 min 5 s'],
  [7_800_000, '2 h 10 min'],
  [273_600_000, '3 d 4 h'],
])('%i ms are %s', (ms, text) => expect(duration(ms)).toBe(text));

it('the overview has a bound, however many lanes there are: those that wait longest', async () => {
  const lanes = Array.from({ length: 5_000 }, (_, partition) => ({
    ...lane,
    partition,
    queued: partition,
    faultMs: partition === 3 ? 9 : undefined,
  }));
  const port = {
    status: async () => ({ ...well, kafka: { ...well.kafka, lanes } }),
    durations: async () => ({}),
    recentDeadLetters: () => [],
  } as unknown as ApiPort;
  const overview = await overviewOf(port, { name: '', role: 'viewer' }, NOW);
  expect(overview.lanes).toBe(5_000);
  expect(overview.status.kafka.lanes).toHaveLength(50);
  expect(overview.status.kafka.lanes.slice(0, 2).map(({ partition }) => partition)).toEqual([3, 4_999]);
});
