#!/usr/bin/env node
// `node scripts/with-services.mjs FILE.ts [arguments]`: brings the services' programs, and runs FILE as it is written, in TypeScript.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from './services/index.mjs';

const register = fileURLToPath(new URL('./typescript/register.mjs', import.meta.url));
const [program = '', ...args] = process.argv.slice(2);

await prepare((line) => console.log(line));
const child = spawn(process.execPath, ['--import', register, path.resolve(program), ...args], { stdio: 'inherit' });
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
