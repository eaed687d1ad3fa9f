#!/usr/bin/env node
/**
 * npm run bench: bare aedes, sluice with each store and a sink that drops, sluice into a real Kafka, and kafkajs' own
 * producer, in one run, as a table and as JSON. --help lists the options, docs/performance.md says how to read it.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { machine } from './machine.mjs';
import { measure } from './measure.mjs';
import { HELP, readOptions, UsageError } from './options.mjs';
import { progressLine } from './progress.mjs';
import { compare, report, wrongCounts } from './report.mjs';
import { plan } from './scenarios.mjs';
import { startServices } from './services.mjs';
import { machineLine, ratioLines, red, table } from './table.mjs';

const EXIT_COUNTS = 1;
const EXIT_USAGE = 2;

async function main(options) {
  const scenarios = plan(options.only);
  if (scenarios.length === 0) throw new UsageError(`--only ${options.only}: no scenario has such a name`);
  const colours = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const progress = progressLine(process.stderr);
  const startedAt = new Date().toISOString();
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
  if (options.profile !== undefined) await mkdir(options.profile, { recursive: true });
  const facts = await machine();

  const results = [];
  const failures = [];
  const services = await startServices(scenarios, (line) => progress.step(line));
  try {
    for (const [index, scenario] of scenarios.entries()) {
      progress.step(`${index + 1}/${scenarios.length} ${scenario.title}`);
      const run = {
        load: options.load,
        warmUpMs: options.warmUpSeconds * 1000,
        measureMs: options.seconds * 1000,
        id: randomBytes(4).toString('hex'),
        services,
        profileDir: options.profile === undefined ? undefined : path.resolve(options.profile),
        progress: (text) => progress.update(text),
      };
      try {
        results.push(await measure(scenario, run));
      } catch (error) {
        failures.push(`${scenario.name}: ${error.message}`);
      }
    }
  } finally {
    progress.clear();
    await services.stop();
  }

  const { clients, window, sizeBytes, qos } = options.load;
  console.log(`${clients} clients, window ${window}, ${sizeBytes} B, QoS ${qos}; ${options.seconds} s each`);
  console.log(`${machineLine(facts)}\n`);
  if (results.length > 0) console.log(`${table(results, colours)}\n`);
  for (const line of ratioLines(compare(results), colours)) console.log(line);

  const wrong = [...wrongCounts(results), ...failures];
  if (wrong.length === 0) console.log('\nCounts agree: everything acknowledged came out, once and in order.');
  else for (const text of wrong) console.log(red(text, colours));

  if (options.json !== undefined) {
    const whole = report({ startedAt, version, options, machine: facts, results, failures });
    await mkdir(path.dirname(path.resolve(options.json)), { recursive: true });
    await writeFile(options.json, `${JSON.stringify(whole, null, 2)}\n`);
  }
  return wrong.length === 0 ? 0 : EXIT_COUNTS;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) console.log(HELP);
  else process.exitCode = await main(options);
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message} (--help lists the options)` : error);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_COUNTS;
}
