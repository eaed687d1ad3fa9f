import { expect, it } from 'vitest';
import { renderStatus } from '../../src/cli/status.ts';
import type { SluiceStatus } from '../../src/status.ts';

const shard = (number: number, parked: SluiceStatus['buffer']['shards'][number]['parked']) => ({
  shard: number,
  owned: true,
  owner: 'p1',
  head: 10,
  released: 10,
  buffered: 0,
  bytes: 0,
  oldestAt: undefined,
  parked,
  setAside: 0,
});
const status: SluiceStatus = {
  version: '1.2.3',
  pid: 42,
  startedAt: '2026-01-01T00:00:00.000Z',
  state: 'running',
  listeners: [],
  clients: 0,
  connections: { open: 0, turnedAway: 0, receivedBytes: 0, sentBytes: 0, clients: { v31: 0, v311: 0, v5: 0 } },
  routes: [],
  deadLetters: [],
  buffer: {
    store: 'level',
    durability: 'LevelDB, fsync per commit',
    weak: [],
    maxBytes: 2 ** 30,
    bytes: 3 * 2 ** 20,
    error: undefined,
    errorSince: undefined,
    shards: [
      shard(0, [{ topic: 'iot.gone', entries: 2, messages: 1_000, bytes: 2 ** 20, full: false }]),
      shard(1, [
        { topic: 'iot.gone', entries: 4, messages: 2_000, bytes: 2 ** 20, full: true },
        { topic: 'iot.denied', entries: 1, messages: 7, bytes: 2 ** 20, full: false },
      ]),
    ],
  },
  kafka: {
    brokers: ['localhost:9092'],
    error: undefined,
    errorSince: undefined,
    weak: [],
    failingTopics: 0,
    lanes: [],
  },
  schemas: [],
  downlinks: [],
  ledger: { accepted: 3_007, buffered: 3_007, delivered: 0, deadLettered: 0, expired: 0, discarded: {}, imbalance: 0 },
  counters: {},
  totals: { packets: {}, refused: {}, kafkaFaults: {}, events: {} },
};

it('sluice status tells what is parked of which topic, over all shards, and whether more may be', () => {
  const lines = renderStatus(status).split('\n');
  expect(lines).toContain('          iot.gone: 3,000 messages parked, 2.0 MB; no more may be: it holds up the buffer');
  expect(lines).toContain('          iot.denied: 7 messages parked, 1.0 MB');
});
