import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const file = 'deploy/prometheus/alerts.yml';

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; runbook: string };
}
const { groups } = parse(read(file)) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

/** Words of PromQL that the rules use, and names of labels. */
const words = new Set('absent or unless offset sum without by max increase shard event quantile'.split(' '));

describe('the alert rules', () => {
  it('ask for metrics that there are', () => {
    const known = new Set([...read('docs/metrics.md').matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name));
    expect(rules.length).toBeGreaterThan(10);
    for (const { alert, expr } of rules) {
      const names = [...expr.replaceAll(/"[^"]*"|\[\w+\]/g, '').matchAll(/[a-z_]{3,}/g)].map(([name]) => name);
      const metrics = names.filter((name) => !words.has(name));
      expect(metrics.length, alert).toBeGreaterThan(0);
      for (const name of metrics) expect(known, `${alert}: ${name}`).toContain(name);
    }
  });

  it('ask for events that there are', () => {
    const known = new Set([...read('docs/logging.md').matchAll(/^\| `([a-z.-]+)`/gm)].map(([, name]) => name));
    const asked = [...read(file).matchAll(/event=~"([^"]+)"/g)].flatMap(([, names]) => (names ?? '').split('|'));
    expect(asked.length).toBeGreaterThan(0);
    for (const name of asked) expect(known).toContain(name);
  });

  it('have a severity, a summary and a place in the runbook each', () => {
    const headings = [...read('docs/operations.md').matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
    expect(headings).toEqual(rules.map(({ alert }) => alert));
    for (const { alert, labels, annotations } of rules) {
      expect(labels.severity, alert).toMatch(/^(warning|critical)$/);
      expect(annotations.summary, alert).toBeTruthy();
      expect(annotations.runbook, alert).toBe(`docs/operations.md#${alert.toLowerCase()}`);
    }
  });

  const promtool = spawnSync('promtool', ['--version']).status === 0;
  it.runIf(promtool)('pass promtool', () => {
    const path = fileURLToPath(new URL(`../../${file}`, import.meta.url));
    const { status, stderr } = spawnSync('promtool', ['check', 'rules', path], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});
