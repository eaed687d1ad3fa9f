import { describe, expect, it } from 'vitest';
import { sharedKafka } from '../support/services.ts';
import { problems, runNeighbours, summary } from './neighbours.ts';

describe('neighbours that do harm', () => {
  it(
    'subscribers that never read, publishers that never read: others are acknowledged as before, and memory stays',
    { timeout: 240_000 },
    async () => {
      const reports = await runNeighbours(
        {
          store: 'level',
          hostile: {
            '50 subscribers that never read': { kind: 'subscriber', count: 50 },
            '20 publishers that never read': { kind: 'publisher', count: 20, perSecond: 100 },
          },
          seconds: 5,
          perSecond: 500,
          announcementsPerSecond: 20,
        },
        await sharedKafka(),
        { step: () => undefined },
      );
      for (const report of reports) {
        console.log(summary(report));
        // Generous: this machine is shared. `npm run neighbours` holds them to max(2x, +10 ms) and 100 MB.
        const bounds = { factor: 5, addedMs: 150, rssGrowthMaxBytes: 250 * 2 ** 20 };
        expect(problems(report, bounds), report.name).toEqual([]);
      }
      // They did no harm because they were dealt with, not because they did nothing.
      expect(reports[0]!.closed).toBeGreaterThan(0);
    },
  );
});
