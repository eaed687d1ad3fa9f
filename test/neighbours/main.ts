/** `npm run neighbours`: see docs/performance.md. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { startKafka } from '../support/services.ts';
import { problems, runNeighbours, summary, type Hostile } from './neighbours.ts';

const USAGE = `npm run neighbours -- [options]

  --store level|redis  one of them (default: both, one after the other)
  --seconds N          of each measuring window (default 15)
  --only NAME          neighbours with that in their name (repeatable)
  --rss MB             most that sluice may grow (default 100)
  --report FILE        JSON (default neighbours-report.json)

Exit code 1: the acknowledgements of others took longer than max(2 x their usual p99, +10 ms), or memory grew.
`;

const HOSTILE: Readonly<Record<string, Hostile>> = {
  '1 subscriber that never reads': { kind: 'subscriber', count: 1 },
  '50 subscribers that never read': { kind: 'subscriber', count: 50 },
  '50 subscribers with a session that never read': { kind: 'subscriber', count: 50, clean: false },
  '1 publisher that never reads, as fast as it can': { kind: 'publisher', count: 1 },
  '50 publishers that never read, 100/s each': { kind: 'publisher', count: 50, perSecond: 100 },
};

const { values } = parseArgs({
  options: {
    store: { type: 'string', multiple: true, default: ['level', 'redis'] },
    seconds: { type: 'string', default: '15' },
    only: { type: 'string', multiple: true, default: [] },
    rss: { type: 'string', default: '100' },
    report: { type: 'string', default: 'neighbours-report.json' },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(USAGE);
  const bounds = { factor: 2, addedMs: 10, rssGrowthMaxBytes: Number(values.rss) * 2 ** 20 };
  const { only } = values;
  const hostile = Object.fromEntries(
    Object.entries(HOSTILE).filter(([name]) => only.length === 0 || only.some((part) => name.includes(part))),
  );
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const kafka = await startKafka();
  const all: object[] = [];
  try {
    for (const store of values.store) {
      if (store !== 'level' && store !== 'redis') throw new Error(`--store must be level or redis, not ${store}`);
      const seconds = Number(values.seconds);
      const reports = await runNeighbours(
        { store, hostile, seconds, perSecond: 1_000, announcementsPerSecond: 10 },
        kafka,
        { step: say },
      );
      for (const report of reports) {
        const wrong = problems(report, bounds);
        all.push({ store, ...report, problems: wrong });
        say(`${store}: ${summary(report)}`);
        for (const problem of wrong) {
          say(`WRONG ${store}: ${report.name}: ${problem}`);
          process.exitCode = 1;
        }
      }
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
