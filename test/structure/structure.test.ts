import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult, type IFlattenedRuleSet } from 'dependency-cruiser';
import extractDepcruiseOptions from 'dependency-cruiser/config-utl/extract-depcruise-options';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planted } from './planted.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const options = await extractDepcruiseOptions(path.join(repository, '.dependency-cruiser.cjs'));

/** Each violation as `rule: from -> to`. */
async function violations(baseDir: string): Promise<{ rule: string; text: string }[]> {
  const { output } = await cruise(['src'], { ...options, baseDir });
  return (output as ICruiseResult).summary.violations.map(({ rule, from, to }) => ({
    rule: rule.name,
    text: `${rule.name}: ${from} -> ${to}`,
  }));
}

describe('the dependencies of src', () => {
  it('point down the path of a message', async () => {
    expect((await violations(repository)).map(({ text }) => text)).toEqual([]);
  });
});

describe('the check of the dependencies', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'sluice-structure-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  let count = 0;
  /** A small project of these files, with the packages of this one. */
  function plant(files: Record<string, string>): string {
    const project = path.join(directory, String((count += 1)));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(project, name)), { recursive: true });
      writeFileSync(path.join(project, name), text);
    }
    const manifest = { name: 'planted', dependencies: { aedes: '*', kafkajs: '*', ioredis: '*', zod: '*' } };
    writeFileSync(path.join(project, 'package.json'), JSON.stringify(manifest));
    symlinkSync(path.join(repository, 'node_modules'), path.join(project, 'node_modules'));
    return project;
  }

  it.each(planted.filter(({ rule }) => rule !== undefined))('finds $what', async ({ rule, files }) => {
    expect((await violations(plant(files))).map((each) => each.rule)).toContain(rule);
  });

  it.each(planted.filter(({ rule }) => rule === undefined))('allows $what', async ({ files }) => {
    expect((await violations(plant(files))).map(({ text }) => text)).toEqual([]);
  });

  it('has a planted violation for every rule', () => {
    const rules = (options.ruleSet as IFlattenedRuleSet).forbidden?.map(({ name }) => name);
    expect(new Set(planted.map(({ rule }) => rule).filter((rule) => rule !== undefined))).toEqual(new Set(rules));
  });
});
