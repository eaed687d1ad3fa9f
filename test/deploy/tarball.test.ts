import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consume } from '../support/kcat.ts';
import { freePort, sharedKafka, type SharedKafka } from '../support/services.ts';
import { startCommand } from './command.ts';

/** Start, delivery and shutdownTimeout, each with room. */
const RUN_TIMEOUT_MS = 90_000;

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../../', import.meta.url));
const INSTALL_TIMEOUT_MS = 240_000;

interface Packed {
  filename: string;
  files: { path: string }[];
}

/** What a user gets: no devDependencies, and none of npm's `overrides`, which do not reach dependents. */
describe('the published package, installed into an empty folder', () => {
  let folder: string;
  let packed: Packed;
  let kafka: SharedKafka;
  const command = (): string => path.join(folder, 'node_modules', '.bin', 'sluice');

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'sluice-tarball-'));
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: repository });
    // The build that npm runs before packing may print something first.
    [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [Packed];
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${packed.filename}`], {
      cwd: folder,
    });
    kafka = await sharedKafka();
  }, INSTALL_TIMEOUT_MS);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('holds the program with its types and nothing of tests, sources or certificates', () => {
    const paths = packed.files.map((file) => file.path);
    expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']));
    expect(paths).toEqual(expect.arrayContaining(['dist/cli/main.js', 'dist/index.js', 'dist/index.d.ts']));
    const foreign = paths.filter((each) => /^(src|test|bench|scripts|\.)|\.(key|crt|pem|tsbuildinfo)$/.test(each));
    expect(foreign).toEqual([]);
  });

  it('says its version', async () => {
    const { version } = JSON.parse(readFileSync(path.join(repository, 'package.json'), 'utf8')) as { version: string };
    expect((await run('npx', ['--no-install', 'sluice', '--version'], { cwd: folder })).stdout.trim()).toBe(version);
  });

  it('can be imported as a library', async () => {
    const program = "import { createSluice } from 'sluice'; console.log(typeof createSluice);";
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: folder });
    expect(stdout.trim()).toBe('function');
  });

  it(
    'runs without a configuration file and brings a message to Kafka',
    async () => {
      const port = await freePort();
      const clientId = `tarball-${port}`;
      const env = {
        SLUICE_LISTENERS_MQTT_PORT: String(port),
        SLUICE_LISTENERS_WS_PORT: String(await freePort()),
        SLUICE_KAFKA_BROKERS: kafka.brokers.join(','),
      };
      const running = await startCommand(command(), ['start'], { cwd: folder, env });
      try {
        const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId });
        await client.publishAsync('any/topic', 'hello', { qos: 1 });
        await client.endAsync();
        const own = async (): Promise<(string | undefined)[]> => {
          // The topic is made by the first delivery.
          const records = await consume(kafka.brokers, 'mqtt.messages').catch(() => []);
          return records.filter(({ key }) => key?.toString() === clientId).map(({ value }) => value?.toString());
        };
        await expect.poll(own, { timeout: 20_000, interval: 200 }).toEqual(['hello']);
        const { stdout } = await run(command(), ['status'], { cwd: folder, env });
        expect(stdout).toContain('delivered 1');
      } finally {
        expect(await running.stop(), running.output()).toBe(0);
      }
    },
    RUN_TIMEOUT_MS,
  );
});
