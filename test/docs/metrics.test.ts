import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createSluice } from '../../src/index.ts';
import { createNullSink } from '../../src/kafka/null-sink.ts';
import { parseMetrics } from '../support/prometheus.ts';

it('docs/metrics.md lists exactly the metrics that there are, with their texts', async () => {
  const sluice = createSluice(
    { listeners: { mqtt: { port: 0 }, ws: false }, buffer: { store: 'memory' }, log: { level: 'silent' } },
    { sink: createNullSink({ partitions: 1 }) },
  );
  await sluice.start();
  const families = parseMetrics(await sluice.metrics());
  await sluice.stop();
  const text = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `(\w+)`\s*\| [\w, ]*? *\| (.*?)\s*\|$/gm)].map(([, name, help]) => [name, help]);
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries([...families].map(([name, { help }]) => [name, help])));
});
