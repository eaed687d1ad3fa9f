#!/usr/bin/env node
// `npm run faults`: builds, brings the services' programs, and runs the campaign of test/faults as it is written, in TypeScript.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { prepare } from './services/index.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

await prepare((line) => console.log(line));
const child = spawn(
  process.execPath,
  ['--import', file('./typescript/register.mjs'), file('../test/faults/main.ts'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
