/** `npm run backlog`: see docs/performance.md. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { startKafka } from '../support/services.ts';
import { megabytes, problems, runBacklog, type BacklogReport } from './run.ts';

const USAGE = `npm run backlog -- [options]

  --store level|redis  one of them (default: both, one after the other)
  --messages N         buffered before sluice starts (default 5000000)
  --devices N          that they come from (default 2000)
  --size BYTES         payload (default 100)
  --rss MB             most that sluice may have resident (default 512)
  --rate N             least drained per second (default 20000)
  --seed S             of the sizes of the frames, to repeat a run
  --report FILE        JSON (default backlog-report.json)
  --node-options TEXT  for the process of sluice, e.g. --node-options=--cpu-prof

Exit code 1: it did not hold. Needs room on the disk for the messages twice, and memory for Redis.
`;

/** Room for a heap and page cache of its own; sluice is what is measured. */
const KAFKA_JVM = ['-Xms512m', '-Xmx1g', '-XX:+UseG1GC'];
const TIMEOUT_MS = 600_000;

const { values } = parseArgs({
  options: {
    store: { type: 'string', multiple: true, default: ['level', 'redis'] },
    messages: { type: 'string', default: '5000000' },
    devices: { type: 'string', default: '2000' },
    size: { type: 'string', default: '100' },
    rss: { type: 'string', default: '512' },
    rate: { type: 'string', default: '20000' },
    seed: { type: 'string' },
    report: { type: 'string', default: 'backlog-report.json' },
    'node-options': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function whole(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 1)
    throw new Error(`--${name} must be a whole number above 0, not ${text}`);
  return value;
}

/** On a terminal one line that is written anew, elsewhere a line per step. */
function watcher() {
  const live = process.stdout.isTTY;
  let shownAt = 0;
  return {
    step: (text: string) => void process.stdout.write(`${live ? '\r\u001b[K' : ''}${text}\n`),
    update: (text: string) => {
      if (!live || performance.now() - shownAt < 200) return;
      shownAt = performance.now();
      process.stdout.write(`\r\u001b[K  ${text}`);
    },
  };
}

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(USAGE);
  const bounds = {
    rssMaxBytes: whole('rss', values.rss) * 2 ** 20,
    drainedPerSecond: whole('rate', values.rate),
  };
  const { step, update } = watcher();
  const reports: (BacklogReport & { problems: string[] })[] = [];
  const kafka = await startKafka({ jvmOptions: KAFKA_JVM });
  try {
    for (const store of values.store) {
      if (store !== 'level' && store !== 'redis') throw new Error(`--store must be level or redis, not ${store}`);
      const nodeOptions = values['node-options'];
      const report = await runBacklog(
        {
          store,
          messages: whole('messages', values.messages),
          devices: whole('devices', values.devices),
          payloadBytes: whole('size', values.size),
          partitions: 8,
          timeoutMs: TIMEOUT_MS,
          ...(values.seed === undefined ? {} : { seed: whole('seed', values.seed) }),
          ...(nodeOptions === undefined ? {} : { nodeOptions }),
        },
        kafka,
        { step, update },
      );
      reports.push({ ...report, problems: problems(report, bounds) });
      step(
        `${store}: ${report.messages} messages in ${report.frames} frames (${megabytes(report.storedBytes)} MB) drained at ` +
          `${report.drainedPerSecond}/s, RSS at most ${megabytes(report.rssMaxBytes)} MB, listening after ${report.startMs} ms, ` +
          `PUBACK meanwhile p50 ${report.acknowledged.p50Ms.toFixed(1)} ms, max ${report.acknowledged.maxMs.toFixed(0)} ms`,
      );
      for (const problem of reports.at(-1)!.problems) step(`WRONG ${store}: ${problem}`);
    }
  } finally {
    await kafka.stop();
  }
  await writeFile(values.report, `${JSON.stringify(reports, null, 2)}\n`);
  process.exitCode = reports.every((report) => report.problems.length === 0) ? 0 : 1;
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
process.exit();
