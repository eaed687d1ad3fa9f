#!/usr/bin/env node
// `npm test`: services, build, checks, tests; the last line counts what passed and failed.
// `npm test -- test/buffer` runs the tests of that folder alone, without the checks.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from './services/index.mjs';
import { countReport } from './test-report.mjs';

const repository = fileURLToPath(new URL('../', import.meta.url));
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const filters = process.argv.slice(2);

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: repository, stdio: 'inherit' });
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

async function runTests() {
  say('tests');
  const directory = await mkdtemp(path.join(tmpdir(), 'sluice-test-'));
  const report = path.join(directory, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await run(process.execPath, [vitest, 'run', ...reporters, ...filters]);
    const text = await readFile(report, 'utf8').catch(() => undefined);
    return countReport(text === undefined ? undefined : JSON.parse(text), code);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const npmRun = (script) => async () => (await run('npm', ['run', '--silent', script])) === 0;

let failedSteps = await step('services', prepareServices);
failedSteps += await step('build', npmRun('build'));
if (filters.length === 0) failedSteps += await step('check', npmRun('check'));
const { passed, failed, skipped } = await runTests();

const failures = failed + failedSteps;
console.log(`\n${passed} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failures > 0 || passed === 0 ? 1 : 0;
