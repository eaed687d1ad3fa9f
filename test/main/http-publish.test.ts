import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consumeEach, header } from '../support/kcat.ts';
import { freePort, sharedKafka, uniqueTopic, type Redis, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { storeFor, stores } from './stores.ts';

const MESSAGES = 10_000;
const CALLERS = 40;
const KILLS = 5;
const RETRY_MS = 250;

let kafka: SharedKafka;
beforeAll(async () => (kafka = await sharedKafka()));

describe.each(stores)('10,000 HTTP publishes with kill -9 in between, on %s', (store) => {
  let redis: Redis | undefined;
  let settings: { redisUrl?: string };
  beforeAll(async () => ({ redis, settings } = await storeFor(store)));
  afterAll(() => redis?.stop());

  it('each 2xx is in Kafka, once per idempotency key however often it was sent', { timeout: 600_000 }, async () => {
    const topic = uniqueTopic('http');
    await kafka.createTopic(topic, 3);
    const port = await freePort();
    const sluice = await SluiceProcess.start({
      brokers: kafka.brokers,
      ...settings,
      routes: [{ name: 'http', from: 'devices/#', to: topic }],
      settings: { 'listeners.http.port': port },
    });
    const url = `http://127.0.0.1:${port}`;
    let next = 0;
    let answered = 0;
    let repeats = 0;
    let duplicates = 0;
    const wrong: string[] = [];

    /** Sends one message under its key until it is acknowledged. */
    const publish = async (number: number, caller: number): Promise<void> => {
      for (;;) {
        try {
          const answer = await fetch(`${url}/publish/devices/${caller}?clientId=caller-${caller}`, {
            method: 'POST',
            headers: { 'idempotency-key': `message-${number}` },
            body: String(number),
          });
          const text = await answer.text();
          if (answer.status === 200) {
            duplicates += (JSON.parse(text) as { duplicates: number }).duplicates;
            answered++;
            return;
          }
          if (answer.status !== 503 || answer.headers.get('retry-after') === null)
            wrong.push(`${answer.status} ${text}`);
        } catch {
          // The process was killed: whether the message is taken is unknown.
        }
        repeats++;
        await sleep(RETRY_MS);
      }
    };
    const caller = async (number: number): Promise<void> => {
      while (next < MESSAGES) await publish(next++, number);
    };
    const killer = async (): Promise<void> => {
      for (let kill = 1; kill <= KILLS; kill++) {
        const from = (MESSAGES / (KILLS + 1)) * kill;
        while (answered < from) await sleep(5);
        await sluice.kill();
        sluice.spawn();
        await sluice.listening(120_000);
      }
    };
    try {
      await Promise.all([killer(), ...Array.from({ length: CALLERS }, (_, number) => caller(number))]);
      expect(wrong).toEqual([]);
      expect(answered).toBe(MESSAGES);
      expect(repeats, 'the kills were felt').toBeGreaterThan(0);
      const { ledger } = await sluice.drained();
      expect(ledger.accepted).toBe(MESSAGES);

      const ids = new Map<string, Set<string | undefined>>();
      await consumeEach(kafka.brokers, topic, (record) => {
        const number = String(record.value);
        ids.set(number, (ids.get(number) ?? new Set()).add(header(record, 'sluice-id')));
      });
      expect(ids.size).toBe(MESSAGES);
      // A record may be there again after a crash; a message may not.
      expect([...ids].filter(([, names]) => names.size !== 1)).toEqual([]);
      console.log(`${store}: ${repeats} requests were sent again, ${duplicates} of them had been taken before`);
    } finally {
      await sluice.discard();
    }
  });
});
