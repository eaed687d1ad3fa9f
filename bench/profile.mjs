#!/usr/bin/env node
/** Prints where a .cpuprofile spent its time: `node bench/profile.mjs FILE [LINES]`. Self time, and time with callees. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const LINES = 30;
const repository = fileURLToPath(new URL('../', import.meta.url));

function nameOf({ functionName, url, lineNumber }) {
  const file = url.startsWith('file://') ? path.relative(repository, fileURLToPath(url)) : url;
  const place = file === '' ? '' : ` ${file.replace(/^node_modules\//, '')}:${lineNumber + 1}`;
  return `${functionName || '(anonymous)'}${place}`;
}

/** @param {{ nodes: any[], samples: number[], timeDeltas: number[] }} profile */
export function summarize({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const selfUs = new Map();
  samples.forEach((id, index) => selfUs.set(id, (selfUs.get(id) ?? 0) + timeDeltas[index]));

  /** The profiler's own start takes a noticeable part of a short window. */
  const isOurs = (id) => {
    for (let at = id; at !== undefined; at = parents.get(at)) {
      if (byId.get(at).callFrame.functionName === 'startProfile') return true;
    }
    return false;
  };
  const rows = new Map();
  const row = (name) => {
    if (!rows.has(name)) rows.set(name, { name, selfUs: 0, totalUs: 0 });
    return rows.get(name);
  };
  let totalUs = 0;
  let busyUs = 0;
  for (const [id, us] of selfUs) {
    if (isOurs(id)) continue;
    totalUs += us;
    const name = nameOf(byId.get(id).callFrame);
    if (name !== '(idle)') busyUs += us;
    row(name).selfUs += us;
    // Once per stack, however often a function recurs in it.
    const seen = new Set();
    for (let at = id; at !== undefined; at = parents.get(at)) seen.add(nameOf(byId.get(at).callFrame));
    for (const each of seen) row(each).totalUs += us;
  }
  return { totalUs, busyUs, rows: [...rows.values()].filter(({ name }) => name !== '(idle)' && name !== '(root)') };
}

function print(title, rows, field, busyUs, lines) {
  console.log(`\n${title} (% of busy time)`);
  const sorted = rows.toSorted((one, other) => other[field] - one[field]).slice(0, lines);
  for (const each of sorted) console.log(`  ${((each[field] / busyUs) * 100).toFixed(1).padStart(5)}  ${each.name}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file, lines = String(LINES)] = process.argv.slice(2);
  if (file === undefined) {
    console.error('usage: node bench/profile.mjs FILE [LINES]');
    process.exit(2);
  }
  const { totalUs, busyUs, rows } = summarize(JSON.parse(await readFile(file, 'utf8')));
  console.log(`${(totalUs / 1e6).toFixed(1)} s, busy ${Math.round((busyUs / totalUs) * 100)}%`);
  print('Self', rows, 'selfUs', busyUs, Number(lines));
  print('With callees', rows, 'totalUs', busyUs, Number(lines));
}
