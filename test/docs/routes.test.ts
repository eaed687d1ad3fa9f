import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { explain } from '../../src/explain.ts';

const text = readFileSync(new URL('../../docs/routes.md', import.meta.url), 'utf8');

/** From one `yaml` block to the next: the routes, the files beside them, and what they make of messages. */
const examples = text
  .split('```yaml\n')
  .slice(1)
  .map((part) => {
    const yaml = part.slice(0, part.indexOf('```'));
    const files = [...part.matchAll(/`([\w.]+\.json)`:\n\n```json\n(.*?)```/gs)].map(([, name = '', body = '']) => ({
      name,
      body,
    }));
    const told = /```text\n(.*?)```/s.exec(part)?.[1] ?? '';
    const messages = told
      .split(/\n(?!\s)/)
      .filter((each) => each !== '')
      .map((each) => {
        const [first = '', ...rest] = each.split('\n').filter((line) => line !== '');
        const [, topic = '', payload = ''] = /^(site\/no rth\/temp|\S+) (.*)$/.exec(first) ?? [];
        return { topic, payload, expected: rest.map((line) => line.replace(/^\s*-> /, '')) };
      });
    return { yaml, files, messages };
  });

describe('docs/routes.md', () => {
  it('has examples', () => {
    expect(examples.length).toBeGreaterThan(8);
    for (const { messages } of examples) expect(messages.length).toBeGreaterThan(0);
  });

  it.each(examples.map((example, index) => [index, example] as const))(
    'example %i does what it says',
    (_index, example) => {
      const directory = mkdtempSync(join(tmpdir(), 'sluice-routes-'));
      try {
        const file = join(directory, 'sluice.yaml');
        writeFileSync(file, example.yaml);
        for (const { name, body } of example.files) writeFileSync(join(directory, name), body);
        const { config, warnings } = loadConfig({ file, env: {} });
        expect(warnings).toEqual([]);
        for (const { topic, payload, expected } of example.messages) {
          const { records, outcome } = explain(config, {
            topic,
            payload,
            clientId: 'd1',
            receivedAt: 1_700_000_000_000,
            now: 1_700_000_000_500,
          });
          const made = records.map(
            (record) => `${record.topic}  key ${record.key?.toString() ?? 'null'}  value ${record.value?.toString()}`,
          );
          expect(outcome === 'records' ? made : [outcome], `${topic} ${payload}`).toEqual(expected);
        }
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );
});
