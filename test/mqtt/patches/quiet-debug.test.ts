import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

describe('debug loggers of mqtt-packet', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(repository, 'node_modules', '.cache-quiet-'));
    const source = readFileSync(join(repository, 'src/mqtt/patches/quiet-debug.ts'), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    });
    writeFileSync(join(directory, 'quiet-debug.mjs'), outputText);
    writeFileSync(
      join(directory, 'main.mjs'),
      `import './quiet-debug.mjs';
       import { createRequire } from 'node:module';
       const mqtt = createRequire(createRequire(import.meta.url).resolve('aedes'))('mqtt-packet');
       console.log(mqtt.generate({ cmd: 'pingreq' }).toString('hex'));`,
    );
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const run = (debug: string): { stdout: string; stderr: string } => {
    const script = `node ${join(directory, 'main.mjs')} 2>&1 1>/dev/null`;
    const env = { ...process.env, DEBUG: debug };
    return {
      stdout: execFileSync(process.execPath, [join(directory, 'main.mjs')], {
        env,
        stdio: ['ignore', 'pipe', 'ignore'],
      }).toString(),
      stderr: execFileSync('sh', ['-c', script], { env }).toString(),
    };
  };

  it('say nothing and cost nothing when they are off, and packets are written all the same', () => {
    expect(run('')).toEqual({ stdout: 'c000\n', stderr: '' });
  });

  it('still work where DEBUG asks for them', () => {
    expect(run('mqtt-packet:*').stderr).toContain('mqtt-packet:writeToStream');
  });
});
