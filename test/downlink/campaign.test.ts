import { describe, expect, it } from 'vitest';
import { stores } from '../main/stores.ts';
import { runCampaign } from './campaign.ts';

describe.each(stores)('3,000 commands to 100 devices, a third of them away, on %s', (store) => {
  it(
    'arrive each at least once and in order, through kills of sluice and Kafka and broken connections',
    { timeout: 180_000 },
    async () => {
      const report = await runCampaign({
        store,
        devices: 100,
        commands: 3_000,
        sendMs: 12_000,
        partitions: 3,
        windowRecords: 200,
        kills: 2,
        timeoutMs: 90_000,
      });
      console.log(`${store}: ${JSON.stringify(report)}`);
      const { missing, disordered, strange, deadLetters, duplicates, duplicatesMax, seed } = report;
      expect({ missing, disordered, strange, deadLetters }, `seed ${seed}`).toEqual({
        missing: 0,
        disordered: [],
        strange: 0,
        deadLetters: 0,
      });
      expect(duplicates, `seed ${seed}`).toBeLessThanOrEqual(duplicatesMax);
    },
  );
});
