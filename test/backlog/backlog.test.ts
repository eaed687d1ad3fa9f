import { beforeAll, describe, expect, it } from 'vitest';
import { stores } from '../main/stores.ts';
import { sharedKafka, type SharedKafka } from '../support/services.ts';
import { megabytes, problems, runBacklog } from './run.ts';

let kafka: SharedKafka;
beforeAll(async () => {
  kafka = await sharedKafka();
});

describe.each(stores)('a backlog of 200,000 messages, on %s', (store) => {
  it(
    'drains in bounded memory: all there, once, in order, while others are acknowledged',
    { timeout: 120_000 },
    async () => {
      const report = await runBacklog(
        { store, messages: 200_000, devices: 500, payloadBytes: 100, partitions: 4, timeoutMs: 90_000 },
        kafka,
        { step: () => undefined, update: () => undefined },
      );
      console.log(
        `${store}: ${report.drainedPerSecond}/s, RSS at most ${megabytes(report.rssMaxBytes)} MB, ` +
          `PUBACK meanwhile p50 ${report.acknowledged.p50Ms.toFixed(1)} ms, max ${report.acknowledged.maxMs.toFixed(0)} ms`,
      );
      // `npm run backlog` holds 5,000,000 to 512 MB and 20,000/s; the rate here is any that is no standstill.
      expect(problems(report, { rssMaxBytes: 512 * 2 ** 20, drainedPerSecond: 2_000 }), `seed ${report.seed}`).toEqual(
        [],
      );
    },
  );
});
