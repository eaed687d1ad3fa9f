import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import mqtt from 'mqtt';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { consume } from '../support/kcat.ts';
import { freePort, sharedKafka } from '../support/services.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));

describe('the examples', () => {
  let directory: string;
  beforeAll(async () => {
    // Inside the package, so that `import … from 'sluice'` finds it as it will find an installed one.
    await mkdir(join(repository, '.services'), { recursive: true });
    directory = await mkdtemp(join(repository, '.services', 'examples-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  async function run(
    name: string,
    env: Record<string, string>,
    meanwhile: (child: ChildProcess, said: () => string) => Promise<void> = async () => undefined,
  ): Promise<string> {
    const source = await readFile(join(repository, 'examples', `${name}.ts`), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    });
    const file = join(directory, `${name}.mjs`);
    await writeFile(file, outputText);
    const child = spawn(process.execPath, [file], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stdout.on('data', (part: Buffer) => (said += part.toString()));
    child.stderr.on('data', (part: Buffer) => (said += part.toString()));
    await Promise.all([once(child, 'close'), meanwhile(child, () => said)]);
    expect(child.exitCode, said).toBe(0);
    return said;
  }

  it('are all run here', async () => {
    expect(await readdir(join(repository, 'examples'))).toEqual(['downlink.ts', 'embed.ts']);
  });

  it('embed: a program publishes through its own sluice', { timeout: 60_000 }, async () => {
    const kafka = await sharedKafka();
    const said = await run('embed', {
      KAFKA_BROKERS: kafka.brokers.join(','),
      MQTT_PORT: String(await freePort()),
      DATA: join(directory, 'data'),
    });
    expect(said).toContain('devices connect to mqtt://127.0.0.1:');
    expect(said).toContain('3 messages are in Kafka, 0 wait in the buffer');
    const records = await consume(kafka.brokers, 'machine-events');
    expect(records.map(({ key, value }) => `${String(key)} ${String(value)}`)).toEqual([
      'press-7 {"piece":1}',
      'press-7 {"piece":2}',
      'press-7 {"piece":3}',
    ]);
  });

  it('downlink: a record of Kafka reaches the device, also one that was away', { timeout: 90_000 }, async () => {
    const kafka = await sharedKafka();
    await kafka.createTopic('machine-commands', 1);
    const port = await freePort();
    const device = (): mqtt.MqttClient =>
      mqtt.connect(`mqtt://127.0.0.1:${port}`, { clientId: 'press-7', clean: false, reconnectPeriod: 100 });
    const said = await run(
      'downlink',
      { KAFKA_BROKERS: kafka.brokers.join(','), MQTT_PORT: String(port), DATA: join(directory, 'downlink-data') },
      async (child, says) => {
        await eventually(() => says().includes('devices connect to'), 30_000, says);
        const known = device();
        await known.subscribeAsync('machines/press-7/commands', { qos: 1 });
        await known.endAsync();
        const kcat = spawn('kcat', ['-P', '-b', kafka.brokers.join(','), '-t', 'machine-commands', '-K:']);
        kcat.stdin.end('press-7:start\npress-7:stop\n');
        await once(kcat, 'close');
        const commands: string[] = [];
        const back = device();
        back.on('message', (_topic, payload) => commands.push(payload.toString()));
        await eventually(
          () => commands.includes('stop'),
          60_000,
          () => `${commands.join()}: ${says()}`,
        );
        await back.endAsync();
        expect([...new Set(commands)]).toEqual(['start', 'stop']);
        child.kill('SIGTERM');
      },
    );
    expect(said).toContain('2 commands were delivered');
  });
});
