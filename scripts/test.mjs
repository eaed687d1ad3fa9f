#!/usr/bin/env node
// `npm test`: services, build, checks, tests; the last line counts what passed and failed.
// `npm test -- test/buffer` runs the tests of that folder alone, without the checks.
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from './services/index.mjs';
import { countReport } from './test-report.mjs';

const repository = fileURLToPath(new URL('../', import.meta.url));
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const filters = process.argv.slice(2);

/** Suites that mostly wait, judged by counts: they run beside all others, which take turns. */
const BESIDE = [
  'test/faults',
  'test/downlink',
  'test/dashboard',
  'test/main/outage.test.ts',
  'test/deploy/alerts-fire.test.ts',
];

/** @param {number | 'inherit'} output a file, or what this process has */
function run(command, args, output = 'inherit') {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: repository, stdio: ['ignore', output, output] });
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

const say = (line) => console.log(`\n== ${line}`);
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Runs one step that is no test itself; it counts only when it fails. */
async function step(name, task) {
  const started = performance.now();
  say(name);
  const ok = await task();
  if (!ok) console.error(`${name}: FAILED`);
  else console.log(`${name}: done in ${seconds(started)}`);
  return ok ? 0 : 1;
}

async function prepareServices() {
  try {
    await prepare((line) => console.log(line));
    return true;
  } catch (error) {
    console.error(error.message);
    return false;
  }
}

/** @param {string} directory for the report, a folder of this run */
async function runTests(directory, name, args, output) {
  const report = path.join(directory, `${name}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const code = await run(process.execPath, [vitest, 'run', ...reporters, ...args], output);
  const text = await readFile(report, 'utf8').catch(() => undefined);
  return countReport(text === undefined ? undefined : JSON.parse(text), code);
}

const npmRun = (script, output) => async () => (await run('npm', ['run', '--silent', script], output)) === 0;

/** The check and the suites that mostly wait; what they print is shown at their end. */
async function runBeside(directory) {
  const log = path.join(directory, 'beside.log');
  const output = openSync(log, 'a');
  const checked = await npmRun('check', output)();
  const counts = await runTests(directory, 'beside', BESIDE, output);
  say(`check, and beside the others: ${BESIDE.join(', ')}`);
  process.stdout.write(await readFile(log, 'utf8'));
  if (!checked) console.error('check: FAILED');
  return { ...counts, failed: counts.failed + (checked ? 0 : 1) };
}

const directory = await mkdtemp(path.join(tmpdir(), 'sluice-test-'));
try {
  let failedSteps = await step('services', prepareServices);
  failedSteps += await step('build', npmRun('build'));
  say('tests');
  const excluded = BESIDE.flatMap((each) => ['--exclude', each.endsWith('.ts') ? each : `${each}/**`]);
  const parts =
    filters.length > 0
      ? [await runTests(directory, 'tests', filters)]
      : await Promise.all([runTests(directory, 'tests', excluded), runBeside(directory)]);

  const total = (count) => parts.reduce((sum, part) => sum + part[count], 0);
  const failures = total('failed') + failedSteps;
  const skipped = total('skipped');
  console.log(`\n${total('passed')} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failures > 0 || total('passed') === 0 ? 1 : 0;
} finally {
  await rm(directory, { recursive: true, force: true });
}
