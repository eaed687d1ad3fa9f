import { describe, expect, it } from 'vitest';
import { judge, split } from './machine.ts';
import { table, titleOf } from './table.ts';

const NEXT = Buffer.of(0xc0, 0);

describe('the table', () => {
  it('has 200 rows and more, and every one once', () => {
    const versions = [3, 4, 5].map((version) => table.filter((row) => row.version === version).length);
    expect(versions[1]).toBeGreaterThan(100);
    expect(versions[2]).toBeGreaterThan(100);
    expect(new Set(table.map(titleOf)).size).toBe(table.length);
  });

  it.each(table.map((row) => [titleOf(row), row] as const))('%s', (_title, row) => {
    const bytes = Buffer.concat([row.before, row.packet, NEXT]);
    for (const chunks of [[bytes], split(bytes, 1), split(bytes, 3), [row.before, row.packet, NEXT]]) {
      const { valid, violation } = judge(chunks);
      expect(violation?.message).toContain(`[${row.clause}]`);
      expect(violation?.clause).toBe(row.clause);
      expect(violation?.answer ?? Buffer.alloc(0)).toEqual(row.answer);
      // Not a byte of the packet goes on, whatever it came with.
      expect(valid).toEqual(row.before);
    }
  });
});
