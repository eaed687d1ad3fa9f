/** `npm run siege`: see docs/performance.md. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Latency } from '../faults/fleet.ts';
import { startKafka } from '../support/services.ts';
import { greedProblems, greedSummary, runGreed } from './greed.ts';
import { guessingProblems, guessingSummary, runGuessing } from './guessing.ts';

const USAGE = `npm run siege -- [options]

  --only guessing|greed  one of them (repeatable)
  --seconds N            of each measuring window (default 15)
  --clients N            of each kind (default 500)
  --report FILE          JSON (default siege-report.json)

Exit code 1: the acknowledgements of who is well-behaved took longer than max(2 x their usual p99, +10 ms), something was lost,
somebody was starved, or somebody got in.
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: ['guessing', 'greed'] },
    seconds: { type: 'string', default: '15' },
    clients: { type: 'string', default: '500' },
    report: { type: 'string', default: 'siege-report.json' },
    help: { type: 'boolean', default: false },
  },
});

function tooSlow({ usual, during }: { readonly usual: Latency; readonly during: Latency }): string[] {
  if (during.p99 <= Math.max(2 * usual.p99, usual.p99 + 10)) return [];
  return [`p99 ${during.p99.toFixed(1)} ms, usually ${usual.p99.toFixed(1)} ms`];
}

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(USAGE);
  const seconds = Number(values.seconds);
  const kafka = await startKafka();
  const all: object[] = [];
  const say = (text: string, report: { readonly name: string }, problems: readonly string[]): void => {
    all.push({ ...report, problems });
    process.stdout.write(`${text}\n`);
    for (const problem of problems) {
      process.stdout.write(`WRONG ${report.name}: ${problem}\n`);
      process.exitCode = 1;
    }
  };
  try {
    if (values.only.includes('guessing')) {
      for (const failuresPerAddress of [0, 60]) {
        const rates = { guessesPerSecond: 1_000, publishesPerSecond: 100 };
        const report = await runGuessing({ seconds, ...rates, failuresPerAddress }, kafka);
        say(guessingSummary(report), report, [...guessingProblems(report), ...tooSlow(report)]);
      }
    }
    if (values.only.includes('greed')) {
      const options = { seconds, clients: Number(values.clients), allowedPerSecond: 2, factor: 10 };
      const report = await runGreed(options, kafka);
      // On a machine that is slow devices give connections up by themselves.
      const lost = report.reconnects > 0 ? [`${report.reconnects} connections were lost`] : [];
      say(greedSummary(report), report, [...greedProblems(report, options), ...lost, ...tooSlow(report)]);
    }
  } finally {
    await kafka.stop();
  }
  await writeFile(values.report, `${JSON.stringify(all, null, 2)}\n`);
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
process.exit();
