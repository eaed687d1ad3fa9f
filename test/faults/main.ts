/** `npm run faults`: see docs/faults.md. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { campaign, select } from './campaign.ts';
import { Progress } from './progress.ts';

const USAGE = `npm run faults -- [options]

  --minutes N    about how long; what does not fit is made smaller, and said so (default 90: everything at full size)
  --seed S       draw the schedules from this seed, to play a campaign again (default: a new one, printed)
  --only NAME    only scenarios with that name or part of it (repeatable)
  --scale X      in place of what the minutes allow: 1 is full size
  --report FILE  where the JSON report goes (default faults-report.json)
  --list         the scenarios, and no run
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '90' },
    seed: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    scale: { type: 'string' },
    report: { type: 'string', default: 'faults-report.json' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) throw new Error(`--${name} must be a number, not ${text}`);
  return value;
}

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(USAGE);
  if (values.list) {
    for (const { name, about, needs, fullSeconds } of select(values.only)) {
      const needed = needs === undefined ? '' : `, needs ${needs.join(' and ')}`;
      process.stdout.write(`${name}: ${about} (about ${fullSeconds} s${needed})\n`);
    }
    return;
  }
  const progress = new Progress(process.stdout);
  const report = await campaign(
    {
      minutes: number('minutes', values.minutes),
      seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : number('seed', values.seed),
      only: values.only,
      scale: values.scale === undefined ? undefined : number('scale', values.scale),
    },
    progress,
  );
  await writeFile(values.report, `${JSON.stringify(report, null, 2)}\n`);
  const failed = report.results.filter(({ ok }) => !ok);
  progress.line('');
  progress.line(
    `${report.results.length - failed.length} held, ${failed.length} did not, ${report.skipped.length} skipped; ` +
      `${report.seconds} s; report in ${values.report}`,
  );
  for (const { name } of failed) {
    progress.line(
      `again: npm run faults -- --seed ${report.seed} --scale ${report.results[0]?.scale} --only '${name}'`,
    );
  }
  process.exitCode = report.ok ? 0 : 1;
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
// Proxies and the like may still be open; nothing is left to do.
process.exit();
