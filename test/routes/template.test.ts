import { describe, expect, it } from 'vitest';
import { isProblem, problemText } from '../../src/routes/problem.ts';
import { parseTemplate, type Template } from '../../src/routes/template.ts';
import { randomFrom } from '../support/random.ts';

const message = { clientId: 'c1', topic: 'devices/d7/telemetry', user: 'ann' };

function template(text: string, levelNames: readonly string[] = []): Template {
  const parsed = parseTemplate(text, levelNames);
  if (isProblem(parsed)) throw new Error(problemText(parsed));
  return parsed;
}

function refusal(text: string, levelNames: readonly string[] = []): string {
  const parsed = parseTemplate(text, levelNames);
  return isProblem(parsed) ? problemText(parsed) : `not refused: ${text}`;
}

describe('a template', () => {
  it.each([
    ['plain', 'plain'],
    ['', ''],
    ['{clientId}', 'c1'],
    ['{topic}', 'devices/d7/telemetry'],
    ['a-{user}-{clientId}.{user}', 'a-ann-c1.ann'],
    ['{deviceId}/{kind}', 'd7/telemetry'],
    ['{{', '{'],
    ['}}', '}'],
    ['{{}}', '{}'],
    ['{{clientId}}', '{clientId}'],
    ['{{{clientId}}}', '{c1}'],
    ['{{"id":"{clientId}"}}', '{"id":"c1"}'],
    ['{{{{', '{{'],
    ['größe-{clientId}-😀', 'größe-c1-😀'],
    ['{__proto__}', 'polluted'],
  ])('%s renders to %s', (text, rendered) => {
    const parsed = template(text, ['deviceId', 'kind', '__proto__']);
    expect(parsed.render(message, ['d7', 'telemetry', 'polluted'])).toBe(rendered);
  });

  it.each([
    ['{clientId', /\{ is not closed at character 1 of '\{clientId'; write \{name\}, or \{\{/],
    ['ab{', /not closed at character 3/],
    ['a{b{c}', /not closed at character 2/],
    ['a}b', /\} without its \{ at character 2.*; write \}\}/],
    ['{clientId}}', /\} without its \{ at character 11/],
    ['{}', /empty name.*\{clientId\}, \{topic\}, \{user\}/],
    ['{clientid}', /unknown name \{clientid\}; did you mean \{clientId\}\?/],
    ['{ clientId }', /did you mean \{clientId\}/],
    ['{deviceID}', /did you mean \{deviceId\}\? Known here: .*\{deviceId\}/],
    ['{divceId}', /did you mean \{deviceId\}/],
    ['{temperature}', /unknown name \{temperature\}; known here: \{clientId\}, \{topic\}, \{user\}, \{deviceId\}/],
    ['{constructor}', /unknown name/],
    ['{__proto__}', /unknown name/],
    ['{toString}', /unknown name/],
  ])('%s is refused', (text, reason) => {
    expect(refusal(text, ['deviceId'])).toMatch(reason);
  });

  it('knows which names it uses and whether it is constant', () => {
    expect(template('a{{b}}')).toMatchObject({ names: [], constant: 'a{b}', topicOnly: true, usesTopic: false });
    expect(template('{clientId}')).toMatchObject({ names: ['clientId'], constant: undefined, topicOnly: false });
    expect(template('{x}-{topic}-{x}', ['x'])).toMatchObject({
      names: ['x', 'topic'],
      topicOnly: true,
      usesTopic: true,
    });
    expect(template('{user}')).toMatchObject({ names: ['user'], topicOnly: false, usesTopic: false });
  });

  it('agrees with a reference by replacement on random texts', () => {
    const random = randomFrom();
    console.log(`templates: SEED=${random.seed}`);
    const values: Record<string, string> = { ...message, level: 'l{clientId}}}' };
    const pieces = ['{clientId}', '{topic}', '{user}', '{level}', '{{', '}}', 'a', '.', 'ü', '$1', '\\'];
    for (let round = 0; round < 20_000; round++) {
      const chosen = Array.from({ length: random.int(8) }, () => random.pick(pieces));
      const expected = chosen
        .map((piece) => (piece === '{{' ? '{' : piece === '}}' ? '}' : (values[piece.slice(1, -1)] ?? piece)))
        .join('');
      const text = chosen.join('');
      const parsed = template(text, ['level']);
      expect(parsed.render(message, [values['level'] ?? '']), `${text}, seed ${random.seed}`).toBe(expected);
    }
  });

  it('either parses or says why, whatever the text', () => {
    const random = randomFrom();
    console.log(`broken templates: SEED=${random.seed}`);
    for (let round = 0; round < 20_000; round++) {
      const text = Array.from({ length: random.int(10) }, () => random.pick(['{', '}', 'a', 'user', ' '])).join('');
      const parsed = parseTemplate(text, []);
      if (isProblem(parsed)) expect(parsed.wayOut).not.toBe('');
      else expect(parsed.render(message, [])).toBeTypeOf('string');
    }
  });
});
