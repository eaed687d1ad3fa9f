import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repository } from '../../scripts/services/index.mjs';
import { sharedKafka } from '../support/services.ts';

const run = promisify(execFile);
const bench = path.join(repository, 'bench', 'run.mjs');

interface Result {
  scenario: string;
  acknowledgedPerSecond: number;
  deliveredPerSecond?: number;
  cpuPerMessageUs: number;
  publishToAcknowledged: Record<string, number>;
  publishToConsumed?: Record<string, number>;
  counts: { published: number; acknowledged: number; delivered?: number; duplicates?: number; wrong: string[] };
}

interface Report {
  machine: Record<string, unknown>;
  results: Result[];
  baseline: { rounds: number };
  failures: string[];
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'sluice-bench-'));
  // The benchmark measures what is shipped: dist.
  await run(process.execPath, [path.join(repository, 'scripts', 'build.mjs')]);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('the benchmark', () => {
  it('measures bare aedes and sluice into Kafka in one run, and finds that the counts agree', async () => {
    const { brokers } = await sharedKafka();
    const json = path.join(directory, 'result.json');
    const load = ['--clients', '8', '--window', '8', '--partitions', '3', '--seconds', '1', '--warm-up', '0.2'];
    const { stdout } = await run(
      process.execPath,
      [bench, ...load, '--only', '^(aedes|level-kafka)$', '--json', json],
      {
        env: { ...process.env, KAFKA_BROKERS: brokers.join(','), NO_COLOR: '1' },
      },
    );
    expect(stdout).toContain('Counts agree');
    expect(stdout).not.toContain('\u001b');

    const report = JSON.parse(await readFile(json, 'utf8')) as Report;
    expect(report.failures).toEqual([]);
    expect(report.machine).toMatchObject({ node: process.version, appendAndSync: { count: 200 } });
    expect(report.baseline.rounds).toBe(2);
    expect(report.results.map(({ scenario }) => scenario)).toEqual(['aedes', 'level-kafka', 'aedes']);
    for (const { counts, acknowledgedPerSecond, cpuPerMessageUs, publishToAcknowledged } of report.results) {
      expect(counts.wrong).toEqual([]);
      expect(counts.acknowledged).toBeGreaterThan(0);
      expect(counts.published).toBe(counts.acknowledged);
      expect(acknowledgedPerSecond).toBeGreaterThan(0);
      expect(cpuPerMessageUs).toBeGreaterThan(0);
      expect(publishToAcknowledged.count).toBeGreaterThan(0);
    }
    const { counts, deliveredPerSecond, publishToConsumed } = report.results[1] as Result;
    expect(counts).toMatchObject({ delivered: counts.acknowledged, duplicates: 0 });
    expect(deliveredPerSecond).toBeGreaterThan(0);
    expect(publishToConsumed?.p50Ms).toBeGreaterThan(0);
    expect(publishToConsumed?.p99Ms).toBeGreaterThan(0);
  }, 60_000);

  it('says what is wrong with an option, and exits with 2', async () => {
    const wrong = run(process.execPath, [bench, '--clients', 'many']);
    await expect(wrong).rejects.toMatchObject({
      code: 2,
      stderr: '--clients many: expected a whole number from 1 to 65536 (--help lists the options)\n',
    });
  });
});
