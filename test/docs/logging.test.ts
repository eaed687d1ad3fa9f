import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);

/** Names of events as the sources give them to the log: `event: '…'`, and the first argument of the report's own functions. */
function eventsOfSources(): Set<string> {
  const events = new Set<string>();
  for (const file of readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(new URL(`src/${file}`, root), 'utf8');
    for (const [, name] of text.matchAll(/event: '([a-z.-]+)'/g)) events.add(name ?? '');
    for (const [, name] of text.matchAll(/#?report\.fault\(\s*'([a-z.-]+)'/g)) events.add(name ?? '');
    if (file.endsWith('report.ts'))
      for (const [, name] of text.matchAll(/'([a-z]+(?:\.[a-z-]+)+)'/g)) events.add(name ?? '');
  }
  return events;
}

it('docs/logging.md lists exactly the events that are logged', () => {
  const text = readFileSync(new URL('docs/logging.md', root), 'utf8');
  const listed = [...text.matchAll(/^\| `([a-z.-]+)`/gm)].map(([, name]) => name ?? '');
  expect(listed.toSorted()).toEqual([...eventsOfSources()].toSorted());
});
