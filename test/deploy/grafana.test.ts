import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** Words of PromQL that the panels use, labels and variables. */
const words = new Set(
  'sum rate max min by without topk histogram_quantile le job shard scope reason route code protocol instance quantile rate_interval'.split(
    ' ',
  ),
);

it('the Grafana dashboard asks for metrics that there are', () => {
  const { panels } = JSON.parse(read('deploy/grafana/sluice.json')) as { panels: readonly Panel[] };
  const known = new Set([...read('docs/metrics.md').matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name ?? ''));
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const plots = panels.filter(({ type }) => type !== 'row');
  expect(plots.length).toBeGreaterThan(15);
  for (const { title, targets = [] } of plots) {
    expect(targets.length, title).toBeGreaterThan(0);
    for (const { expr } of targets) {
      const names = [...expr.replaceAll(/"[^"]*"/g, '').matchAll(/[a-z][a-z0-9_]+/g)].map(([name]) =>
        name.replace(/_bucket$/, ''),
      );
      const metrics = names.filter((name) => !words.has(name));
      expect(metrics.length, expr).toBeGreaterThan(0);
      for (const name of metrics) expect(known, `${title}: ${name}`).toContain(name);
    }
  }
});
