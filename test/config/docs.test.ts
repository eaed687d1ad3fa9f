import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configJsonSchemaText, configReference } from '../../src/config/reference.ts';
import { textFields } from '../../src/config/shape.ts';

describe('docs/', () => {
  it('configuration.md is what the schema says (else: npm run docs)', () => {
    expect(readFileSync('docs/configuration.md', 'utf8')).toBe(configReference());
  });

  it('sluice.schema.json is what the schema says (else: npm run docs)', () => {
    expect(readFileSync('docs/sluice.schema.json', 'utf8')).toBe(configJsonSchemaText());
  });

  it('configuration.md names every variable and every default', () => {
    const reference = configReference();
    for (const { path, variable, node } of textFields()) {
      const row = reference.split('\n').find((line) => line.startsWith(`| \`${path.join('.')}\` |`));
      expect(row).toContain(`\`${variable}\``);
      if (typeof node.default === 'string' || typeof node.default === 'number')
        expect(row).toContain(`\`${node.default}\``);
    }
  });
});
