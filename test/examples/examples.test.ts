import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

  async function run(name: string, env: Record<string, string>): Promise<string> {
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
    await once(child, 'close');
    expect(child.exitCode, said).toBe(0);
    return said;
  }

  it('are all run here', async () => {
    expect(await readdir(join(repository, 'examples'))).toEqual(['embed.ts']);
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
});
