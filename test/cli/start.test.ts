/** The first minutes: a start in an empty folder, and the demo with its keys. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { withDashboard } from '../../src/cli/start.ts';
import type { Overview } from '../../src/http/overview.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/services.ts';
import { mainFile } from '../support/sluice.ts';

const flags = { set: {} };

it('who has said nothing of listeners gets the dashboard, unless something else has its port', async () => {
  const port = await freePort();
  expect(await withDashboard(flags, {}, port)).toEqual({ set: { 'listeners.http.port': String(port) } });
  for (const [given, env] of [
    [{ set: { 'listeners.mqtt.port': '1884' } }, {}],
    [{ set: {}, config: 'other.yaml' }, {}],
    [flags, { SLUICE_LISTENERS_WS: 'false' }],
  ] as const)
    expect(await withDashboard(given, env, port)).toBe(given);
  const other = createServer();
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
  expect(await withDashboard(flags, {}, (other.address() as AddressInfo).port)).toBe(flags);
  await new Promise((done) => other.close(done));
});

it('sluice start in an empty folder, without Kafka, runs and says what to try next', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-first-'));
  // Other ports than the standard ones, which somebody may use on this machine; the rest is what nobody has configured.
  const [port, http] = [await freePort(), await freePort()];
  const settings = [`listeners.mqtt.port=${port}`, 'listeners.ws.port=0', `listeners.http.port=${http}`];
  const child = spawn(process.execPath, [mainFile, 'start', ...settings.flatMap((each) => ['--set', each])], {
    cwd: directory,
  });
  let said = '';
  child.stdout.on('data', (part: Buffer) => (said += part.toString()));
  await eventually(() => said.includes('next '), 30_000);
  expect(said).toContain(`dashboard  http://127.0.0.1:${http}`);
  expect(said).toContain(`try        mosquitto_pub -p ${port}`);
  expect(said).toMatch(/next +sluice doctor.*sluice init/);
  const page = await fetch(`http://127.0.0.1:${http}/`);
  expect(await page.text()).toContain('<title>sluice</title>');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(await readdir(directory)).toEqual(['sluice-data']);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
  await rm(directory, { recursive: true });
});

it('the demo has keys that stop and start Kafka and kill sluice, and loses nothing', { timeout: 180_000 }, async () => {
  const demo = spawn(process.execPath, [
    fileURLToPath(new URL('../../scripts/demo.mjs', import.meta.url)),
    '--keys',
    '--devices',
    '10',
    '--rate',
    '200',
  ]);
  let said = '';
  for (const stream of [demo.stdout, demo.stderr]) stream.on('data', (part: Buffer) => (said += part.toString()));
  const ended = once(demo, 'exit');
  const says = (wanted: string | RegExp, timeoutMs = 60_000): Promise<void> =>
    eventually(
      () => (typeof wanted === 'string' ? said.includes(wanted) : wanted.test(said)),
      timeoutMs,
      () => `no ${String(wanted)} in: ${said}`,
    );
  await says('Keys:');
  const url = /The dashboard: (\S+)/.exec(said)?.[1] ?? '';
  const overview = async (): Promise<Overview | undefined> =>
    fetch(`${url}api/v1/overview`).then(
      async (answer) => (await answer.json()) as Overview,
      () => undefined,
    );

  demo.stdin.write('k');
  await eventually(async () => (await overview())?.words.kafka.includes('safe in the buffer') === true, 60_000);
  demo.stdin.write('k');
  await eventually(async () => {
    const now = await overview();
    return now !== undefined && now.status.kafka.error === undefined && now.status.ledger.delivered > 0;
  }, 60_000);
  demo.stdin.write('x');
  await says('started again');
  // Those that misbehave are seen.
  await eventually(async () => {
    const now = await overview();
    return (now?.status.deadLetters.length ?? 0) > 0 && (now?.status.totals.events['connection.failed'] ?? 0) > 0;
  }, 60_000);
  demo.stdin.write('q');
  const [code] = (await ended) as [number | null];
  expect(said).toMatch(/messages were acknowledged, 0 of them are missing in Kafka/);
  expect(code, said).toBe(0);
});
