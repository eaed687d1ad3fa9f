#!/usr/bin/env node
// Compiles src to dist, bundles the dashboard, and copies what the compiler leaves: assets, and the executable bit of the command.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const repository = fileURLToPath(new URL('../', import.meta.url));
const src = path.join(repository, 'src');
const dist = path.join(repository, 'dist');
const buildInfo = path.join(repository, 'node_modules', '.cache', 'sluice.tsbuildinfo');
const COMMAND = 'cli/main.js';
/** Where src/http/dashboard.ts looks for the page. */
const DASHBOARD = path.join('http', 'dashboard');
const page = ['index.html', 'icon.svg'];

const isAsset = (file) => /\.(lua|json|html|css|svg)$/.test(file);
const compiled = (file) => file.replace(/\.ts$/, '');

function filesOf(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true })
    .map(String)
    .filter((file) => statSync(path.join(directory, file)).isFile());
}

const sources = filesOf(src).filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
const assets = filesOf(src).filter(isAsset);

// A renamed source must not live on in dist.
const expected = new Set([
  ...assets,
  ...[...page, 'dashboard.js', 'dashboard.css'].map((file) => path.join(DASHBOARD, file)),
]);
for (const source of sources) for (const end of ['.js', '.js.map', '.d.ts']) expected.add(`${compiled(source)}${end}`);
for (const file of filesOf(dist)) {
  if (!expected.has(file)) rmSync(path.join(dist, file));
}
// The compiler trusts its notes and does not look whether what it wrote before is still there.
if (sources.some((source) => !existsSync(path.join(dist, `${compiled(source)}.js`))))
  rmSync(buildInfo, { force: true });

const tsc = fileURLToPath(import.meta.resolve('typescript/bin/tsc'));
const incremental = ['--incremental', '--tsBuildInfoFile', buildInfo];
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', ...incremental], {
  cwd: repository,
  stdio: 'inherit',
});

for (const asset of assets) {
  mkdirSync(path.dirname(path.join(dist, asset)), { recursive: true });
  copyFileSync(path.join(src, asset), path.join(dist, asset));
}
const from = (file) => path.join(repository, 'dashboard', file);
await build({
  entryPoints: [from('dashboard.ts'), from('dashboard.css')],
  outdir: path.join(dist, DASHBOARD),
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'inline',
  logLevel: 'warning',
});
for (const file of page) copyFileSync(from(file), path.join(dist, DASHBOARD, file));
if (existsSync(path.join(dist, COMMAND))) chmodSync(path.join(dist, COMMAND), 0o755);
process.exitCode = status ?? 1;
