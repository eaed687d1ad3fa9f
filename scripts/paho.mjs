#!/usr/bin/env node
// `npm run paho`: Eclipse Paho's interoperability tests against a built sluice. They are fetched, at one commit, and not
// kept here; PAHO_DIRECTORY names a copy of the repository for machines without a network. `npm run paho -- session` runs
// the cases whose names hold that word.
import { execFile, spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheDirectory, withLock } from './services/directories.mjs';
import { freePort } from './services/ports.mjs';

const COMMIT = '9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103';
const CASE_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 30_000;

const suites = [
  { version: '3.1.1', module: 'client_test' },
  { version: '5', module: 'client_test5' },
];

/** Cases that cannot pass, by module and name, each with its reason. One that passes after all fails the run. */
const exceptions = {
  'client_test5.test_subscribe_failure': 'wants 0x80 (unspecified); sluice says 0x87 (not authorized), which is more',
};

const run = promisify(execFile);
const runner = fileURLToPath(new URL('paho-case.py', import.meta.url));
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

async function interoperability() {
  const given = process.env.PAHO_DIRECTORY;
  if (given !== undefined) return path.join(path.resolve(given), 'interoperability');
  const directory = path.join(cacheDirectory(), `paho.mqtt.testing-${COMMIT}`);
  const there = () =>
    access(path.join(directory, 'interoperability')).then(
      () => true,
      () => false,
    );
  await withLock(`${directory}.lock`, async () => {
    if (await there()) return;
    console.log(`fetching eclipse-paho/paho.mqtt.testing at ${COMMIT}`);
    const url = `https://codeload.github.com/eclipse-paho/paho.mqtt.testing/tar.gz/${COMMIT}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(60_000) });
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    const half = `${directory}.${process.pid}`;
    await mkdir(half, { recursive: true });
    const archive = path.join(half, 'archive.tar.gz');
    await writeFile(archive, Buffer.from(await response.arrayBuffer()));
    await run('tar', ['-xzf', archive, '-C', half, '--strip-components=1']);
    await rename(half, directory);
  });
  return path.join(directory, 'interoperability');
}

/** Kafka is away: what is published waits in the buffer. */
async function startSluice() {
  const data = await mkdtemp(path.join(tmpdir(), 'sluice-paho-'));
  const port = await freePort();
  const config = {
    listeners: { mqtt: { port }, ws: false },
    buffer: { store: 'level', path: data },
    log: { level: 'error' },
    shutdownTimeout: '0s',
    // The suite asks for 120 s, and wants to be told 60.
    limits: { maxKeepAlive: '60s' },
    acl: [
      { effect: 'deny', subscribe: ['test/nosubscribe'] },
      { publish: ['#', '$TopicA/#'], subscribe: ['#', '$TopicA/#'] },
    ],
  };
  const file = path.join(data, 'sluice.yaml');
  // YAML has all of JSON.
  await writeFile(file, JSON.stringify(config));
  const child = spawn(process.execPath, [main, 'start', '-c', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: data,
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error('sluice does not say that it is running')), START_TIMEOUT_MS);
    child.stdout.on('data', (part) => {
      said += part;
      if (!said.includes('is running')) return;
      clearTimeout(timer);
      resolve();
    });
    void ended.then(() => reject(new Error('sluice ended while starting')));
  });
  const stop = async () => {
    child.kill();
    await ended;
    await rm(data, { recursive: true, force: true });
  };
  return { port, stop, alive: () => child.exitCode === null && child.signalCode === null };
}

const python = (directory, args, timeout) =>
  run('python3', [runner, directory, ...args], { timeout, killSignal: 'SIGKILL', maxBuffer: 1 << 26 });

async function runCase(directory, port, module, name) {
  const started = performance.now();
  const failure = await python(directory, [module, String(port), name], CASE_TIMEOUT_MS).then(
    () => undefined,
    (error) => (error.killed ? `no end within ${CASE_TIMEOUT_MS / 1000} s` : `${error.stdout}${error.stderr}`.trim()),
  );
  const reason = exceptions[`${module}.${name}`];
  const outcome = failure === undefined ? 'passed' : 'failed';
  const expected = reason === undefined ? 'passed' : 'failed';
  console.log(
    `${outcome}${reason === undefined ? '' : ` (expected to fail: ${reason})`}  ${module}.${name}  ` +
      `${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
  if (failure !== undefined && reason === undefined) console.log(failure.replace(/^/gm, '    '));
  return { outcome, asExpected: outcome === expected };
}

const word = process.argv[2] ?? '';
const directory = await interoperability();
const sluice = await startSluice();
try {
  for (const { version, module } of suites) {
    const { stdout } = await python(directory, [module], CASE_TIMEOUT_MS);
    const names = stdout
      .trim()
      .split('\n')
      .filter((name) => name.includes(word));
    const results = [];
    for (const name of names) {
      results.push(await runCase(directory, sluice.port, module, name));
      if (!sluice.alive()) throw new Error(`sluice has ended in ${module}.${name}`);
    }
    const passed = results.filter(({ outcome }) => outcome === 'passed').length;
    console.log(`MQTT ${version}: ${passed} of ${results.length} passed\n`);
    if (results.some(({ asExpected }) => !asExpected)) process.exitCode = 1;
  }
} finally {
  await sluice.stop();
}
