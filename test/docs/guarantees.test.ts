import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const repository = new URL('../../', import.meta.url);
const text = readFileSync(new URL('docs/guarantees.md', repository), 'utf8');
const { scripts } = JSON.parse(readFileSync(new URL('package.json', repository), 'utf8')) as {
  scripts: Record<string, string>;
};

/** What a line names and is not there: test files, titles in them (`file`: _title_), commands. */
function missing(line: string): string[] {
  const found: string[] = [];
  for (const [, file = '', title] of line.matchAll(/`(test\/[\w./-]+)`(?:: _(.+?)_(?= \||;|$))?/g)) {
    const url = new URL(file, repository);
    if (!existsSync(url)) found.push(file);
    else if (title !== undefined && !readFileSync(url, 'utf8').includes(title)) found.push(`${file}: ${title}`);
  }
  for (const [, script = ''] of line.matchAll(/`npm run ([a-z:]+)/g)) if (!(script in scripts)) found.push(script);
  return found;
}

/** Rows of the tables, without their heads, by section. */
function rows(section: string): string[] {
  return section.split('\n').filter((line) => line.startsWith('| ') && !/^\| (Promise|-)/.test(line));
}

const sections = text.split(/^## /m).slice(1);

describe('docs/guarantees.md', () => {
  it('names for each promise a test or a command that is there, by the title it has', () => {
    const promised = sections.filter((section) => /^\d/.test(section));
    expect(promised.length).toBeGreaterThanOrEqual(10);
    for (const section of promised) {
      const shown = rows(section);
      expect(shown.length, section.slice(0, 40)).toBeGreaterThan(2);
      for (const row of shown) {
        expect(row).toMatch(/`(test\/|npm run )/);
        expect(missing(row.replace(/ +\|$/, ' |')), row).toEqual([]);
      }
    }
    for (const line of text.split('\n')) expect(missing(line.replace(/ +\|$/, ' |'))).toEqual([]);
  });

  it('would be found wrong: a file, a title, a command that is not there', () => {
    expect(missing('| x | `test/nothing.test.ts` |')).toEqual(['test/nothing.test.ts']);
    const tail = 'test/buffer/tail.test.ts';
    expect(missing(`| x | \`${tail}\`: _no such title_ |`)).toEqual([`${tail}: no such title`]);
    expect(missing(`| x | \`${tail}\`: _never holds more than its bound_ |`)).toEqual([]);
    expect(missing('| x | `npm run nothing` |')).toEqual(['nothing']);
  });
});
