import { describe, expect, it } from 'vitest';
import { substitute } from '../../src/config/text-value.ts';

describe('substitute', () => {
  const env = { A: 'one', EMPTY: '', B: '${A}', _x1: 'y' };

  it.each([
    ['plain', 'plain'],
    ['${A}', 'one'],
    ['<${A}|${A}>', '<one|one>'],
    ['${_x1}', 'y'],
    ['${EMPTY}', ''],
    ['${EMPTY:-d}', 'd'],
    ['${NO:-d}', 'd'],
    ['${NO:-}', ''],
    ['${NO:-a:-b}', 'a:-b'],
    ['${NO:-{clientId}}/x', '{clientId}/x'],
    ['${A:-{clientId}}/x', 'one/x'],
    ['${B}', '${A}'],
    ['$${A}', '${A}'],
    ['$$${A}', '$${A}'],
    ['$A ${ ', undefined],
    ['$ { } $', '$ { } $'],
  ])('%j becomes %j', (text, result) => {
    const { text: found, faults } = substitute(text, env);
    if (result === undefined) expect(faults).toHaveLength(1);
    else expect([found, faults]).toEqual([result, []]);
  });

  it.each([
    ['${NO}', 'unset', 'NO'],
    ['${constructor}', 'unset', 'constructor'],
    ['${}', 'malformed', '${}'],
    ['${1A}', 'malformed', '${1A}'],
    ['${A', 'malformed', '${A'],
    ['${A-x}', 'malformed', '${A-x}'],
  ])('%j is at fault', (text, kind, reference) => {
    expect(substitute(text, env).faults).toEqual([{ kind, reference }]);
  });

  it('reports every fault', () => {
    expect(substitute('${NO}${A}${NEIN}', env).faults.map((fault) => fault.reference)).toEqual(['NO', 'NEIN']);
  });
});
