import { describe, expect, it } from 'vitest';
import { createKafkaSink } from '../../src/kafka/adapter.ts';
import { loadKafkajs, verifyKafkajs, type Kafkajs } from '../../src/kafka/wire.ts';

/** The kafkajs that is installed, with one thing different. */
function differing(change: (kafkajs: Kafkajs) => Partial<Kafkajs>): Kafkajs {
  const kafkajs = loadKafkajs();
  return { ...kafkajs, ...change(kafkajs) };
}

type AnyClass = new (...args: unknown[]) => Record<string, unknown>;

describe('verifyKafkajs', () => {
  it('takes the kafkajs that is installed', () => expect(() => verifyKafkajs(loadKafkajs())).not.toThrow());

  const planted: [string, Kafkajs, string][] = [
    ['another version', differing(() => ({ version: '2.2.5' })), 'version 2.2.5'],
    [
      'a broker that connects differently',
      differing(({ Broker }) => ({
        Broker: class extends (Broker as unknown as AnyClass) {
          connect = undefined;
        } as unknown as Kafkajs['Broker'],
      })),
      'no Broker.connect()',
    ],
    [
      'a broker that knows versions differently',
      differing(({ Broker }) => ({
        Broker: class extends (Broker as unknown as AnyClass) {
          versions = new Map();
        } as unknown as Kafkajs['Broker'],
      })),
      'Broker.versions',
    ],
    [
      'a pool without connections',
      differing(({ ConnectionPool }) => ({
        ConnectionPool: class extends (ConnectionPool as unknown as AnyClass) {
          pool = [];
        } as unknown as Kafkajs['ConnectionPool'],
      })),
      'ConnectionPool.pool is empty',
    ],
    [
      'a queue that is pushed to differently',
      differing(({ ConnectionPool }) => ({
        ConnectionPool: class extends (ConnectionPool as unknown as AnyClass) {
          constructor(...args: unknown[]) {
            super(...args);
            for (const { requestQueue } of this['pool'] as { requestQueue: Record<string, unknown> }[]) {
              requestQueue['push'] = undefined;
            }
          }
        } as unknown as Kafkajs['ConnectionPool'],
      })),
      'no RequestQueue.push()',
    ],
    ['a logger that is made differently', differing(() => ({ createLogger: () => ({}) })), 'namespace'],
  ];
  it.each(planted)('refuses %s, and names it', (_what, kafkajs, named) => {
    expect(() => verifyKafkajs(kafkajs)).toThrow(/^kafkajs is not the 2\.2\.4/);
    expect(() => verifyKafkajs(kafkajs)).toThrow(named);
    expect(() => createKafkaSink({ brokers: ['localhost:9092'] }, { kafkajs })).toThrow(named);
  });
});
