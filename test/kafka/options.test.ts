import { describe, expect, it } from 'vitest';
import { kafkaSettings } from '../../src/kafka/options.ts';

describe('kafkaSettings', () => {
  it('fills in what is not said', () => {
    expect(kafkaSettings({ brokers: ['kafka-1.example:9092', '[::1]:9093'] })).toEqual({
      brokers: [
        { host: 'kafka-1.example', port: 9092 },
        { host: '::1', port: 9093 },
      ],
      clientId: 'sluice',
      tls: undefined,
      sasl: undefined,
      compression: 'none',
      requestTimeoutMs: 30_000,
      connectionTimeoutMs: 5_000,
      createTopics: { enabled: true, partitions: -1, replicationFactor: -1, config: {} },
      topic: expect.any(Function) as () => undefined,
      idempotent: true,
      metadataMaxAgeMs: 60_000,
    });
  });

  it('tells TLS with defaults from none, and hands on nothing that is undefined', () => {
    const tlsOf = (tls: Parameters<typeof kafkaSettings>[0]['tls']): unknown =>
      kafkaSettings({ brokers: ['b:1'], tls }).tls;
    expect(tlsOf(true)).toEqual({});
    expect(tlsOf({})).toEqual({});
    expect(tlsOf(false)).toBeUndefined();
    expect(Object.keys(tlsOf({ ca: 'PEM', rejectUnauthorized: undefined, servername: undefined }) as object)).toEqual([
      'ca',
    ]);
  });
});
