/** Shorter than `npm run siege`, and judged by counts: this machine is shared. */
import { describe, expect, it } from 'vitest';
import { sharedKafka } from '../support/services.ts';
import { greedProblems, greedSummary, runGreed, type GreedReport } from './greed.ts';
import { guessingProblems, guessingSummary, runGuessing, type GuessingReport } from './guessing.ts';

/** Of times: generous, so that what fails is not the machine. */
const P99_MAX_MS = 10_000;

describe('a siege', () => {
  it('of wrong passwords: none gets in, and the device that is logged in goes on', { timeout: 120_000 }, async () => {
    const report = await runGuessing(
      { seconds: 4, guessesPerSecond: 300, publishesPerSecond: 100, failuresPerAddress: 0 },
      await sharedKafka(),
    );
    console.log(guessingSummary(report));
    expect(guessingProblems(report)).toEqual([]);
    expect(report.during.count).toBeGreaterThan(report.usual.count / 10);
    expect(report.during.p99).toBeLessThan(P99_MAX_MS);
  });

  it('of clients at 10 times their rate: nobody is starved, nothing is lost', { timeout: 180_000 }, async () => {
    const options = { seconds: 5, clients: 50, allowedPerSecond: 4, factor: 10 };
    const report = await runGreed(options, await sharedKafka());
    console.log(greedSummary(report));
    expect(greedProblems(report, options)).toEqual([]);
    expect(report.during.p99).toBeLessThan(P99_MAX_MS);
  });
});

describe('the judges', () => {
  const latency = { count: 1, p50: 1, p99: 1, max: 1 };

  it('find what is planted', () => {
    const guessing: GuessingReport = {
      name: 'planted',
      ...{ usual: latency, during: latency, guesses: 10, refused: 9, closed: 0, refusedLogins: 9 },
      ...{ admitted: 1, deviceLost: 1, delivered: 9, acknowledged: 10 },
    };
    expect(guessingProblems(guessing)).toHaveLength(3);
    const options = { seconds: 10, clients: 2, allowedPerSecond: 4, factor: 10 };
    const greed: GreedReport = {
      name: 'planted',
      ...{ usual: latency, during: latency, lost: 1, outOfOrder: 1, reconnects: 1, throttled: 0 },
      greedy: { attempted: 1_000, acknowledged: 97, seconds: 10 },
      ...{ leastOfWellBehaved: 9, leastOfGreedy: 19 },
    };
    expect(greedProblems(greed, options)).toHaveLength(6);
  });
});
