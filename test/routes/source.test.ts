import { describe, expect, it } from 'vitest';
import { parsePayloadPath, textOf, valueAt } from '../../src/routes/payload-path.ts';
import { isProblem, problemText } from '../../src/routes/problem.ts';
import { parseTemplate, type Template } from '../../src/routes/template.ts';
import { randomFrom } from '../support/random.ts';

const message = {
  clientId: 'c1',
  topic: 'site/north//d7',
  user: '',
  qos: 2,
  retain: true,
  receivedAt: Date.UTC(2026, 2, 5, 7, 9, 3, 45),
  properties: {
    contentType: 'text/plain',
    userProperties: [
      ['tenant', 'acme'],
      ['tenant', 'other'],
      ['', 'none'],
      ['a.b', 'dotted'],
    ] as const,
  },
};

const payload: unknown = JSON.parse(
  '{"t":21.5,"n":0,"s":"x","yes":true,"nothing":null,"list":[{"id":"a"},{"id":"b"}],"o":{"a/b":{"~":1}},"__proto__":{"p":1},"":{"":2}}',
);

function template(text: string): Template {
  const parsed = parseTemplate(text, ['site']);
  if (isProblem(parsed)) throw new Error(problemText(parsed));
  return parsed;
}

const render = (text: string, of: unknown = payload): string | undefined =>
  template(text).render(message, ['north'], of);

describe('a name in a template', () => {
  it.each([
    ['{topic[0]}|{topic[1]}|{topic[2]}|{topic[3]}|{topic[9]}', 'site|north||d7|'],
    ['{topic[-1]}|{topic[-4]}|{topic[-5]}', 'd7|site|'],
    ['{payload.t} {payload.n} {payload.s} {payload.yes}', '21.5 0 x true'],
    ['{payload.list[1].id}', 'b'],
    ['{payload.list}', '[{"id":"a"},{"id":"b"}]'],
    ['{payload/o/a~1b/~0}', '1'],
    ['{payload//}', '2'],
    ['{payload/list/0/id}', 'a'],
    ['{payload.__proto__.p}', '1'],
    ['{userProperty.tenant}', 'acme'],
    ['{userProperty.a.b}', 'dotted'],
    ['{contentType}', 'text/plain'],
    ['{qos}{retain}', '2true'],
    ['{time.year}-{time.month}-{time.day} {time.hour}:{time.minute}', '2026-03-05 07:09'],
    ['{time.date} {time.iso} {time.ms}', '2026-03-05 2026-03-05T07:09:03.045Z 1772694543045'],
    ['{user:-anonymous}', 'anonymous'],
    ['{payload.none:-}', ''],
    ['{payload.none:-a:-b}', 'a:-b'],
    ['{payload.t:-0}', '21.5'],
    ['{topic[2]:-empty}', 'empty'],
    ['{site}', 'north'],
  ])('%s is %s', (text, expected) => {
    expect(render(text)).toBe(expected);
  });

  it.each([
    '{payload.none}',
    '{payload.nothing}',
    '{payload.t.deeper}',
    '{payload.list.length}',
    '{payload.list[2]}',
    '{payload.toString}',
    '{payload.constructor}',
    '{payload.list.map}',
    '{payload.s.length}',
    '{payload.s[0]}',
    '{userProperty.none}',
    '{userProperty.__proto__}',
    '{responseTopic}',
  ])('%s is missing, which the template says by that name', (text) => {
    expect(render(`x{topic}${text}`)).toBeUndefined();
    expect(template(`x{topic}${text}`).missing(message, ['north'], payload)).toBe(text.slice(1, -1));
  });

  it.each([undefined, null, 3, 'text', [], true])('finds nothing in a payload that is %s', (odd) => {
    expect(render('{payload.a}', odd)).toBeUndefined();
  });

  it.each([
    ['{payload}', /name a field of it/],
    ['{payload.}', /unknown name|no path/],
    ['{payload.a[x]}', /no path/],
    ['{payload.a..b}', /no path/],
    ['{payload.a[0}', /no path/],
    ['{payload/a~2}', /no path/],
    [`{payload.${'a.'.repeat(40)}b}`, /more than 32 steps/],
    ['{payload[0]x}', /no path/],
    ['{userProperty.}', /unknown name/],
    ['{topic[x]}', /unknown name \{topic\[x\]\}/],
    ['{time.century}', /unknown name/],
    ['{time.datum}', /did you mean \{time\.date\}/],
    ['{contenttype}', /did you mean \{contentType\}/],
  ])('%s is refused', (text, reason) => {
    const parsed = parseTemplate(text, []);
    expect(isProblem(parsed) ? problemText(parsed) : 'not refused').toMatch(reason);
  });

  it('tells what it needs', () => {
    expect(template('{payload.a}')).toMatchObject({ usesPayload: true, total: false, topicOnly: false });
    expect(template('{payload.a:-x}')).toMatchObject({ usesPayload: true, total: true });
    expect(template('{topic[1]}{site}')).toMatchObject({ usesTopic: true, topicOnly: true, total: true });
    expect(template('{contentType}')).toMatchObject({ usesPayload: false, total: false, topicOnly: false });
    expect(template('{qos}{time.date}')).toMatchObject({ usesPayload: false, total: true, topicOnly: false });
  });
});

describe('a path into a payload', () => {
  it('finds in random JSON what walking it step by step finds, in both spellings', () => {
    const random = randomFrom();
    console.log(`paths: SEED=${random.seed}`);
    const names = ['a', 'b', '__proto__', 'constructor', 'ü x', '0'];
    const make = (depth: number): unknown => {
      switch (random.int(depth > 4 ? 2 : 5)) {
        case 0:
          return random.pick([null, 1, 'text', true]);
        case 1:
          return [];
        case 2:
          return Array.from({ length: 1 + random.int(3) }, () => make(depth + 1));
        default:
          return JSON.parse(
            `{${[...new Set([random.pick(names), random.pick(names)])].map((name) => `${JSON.stringify(name)}:${JSON.stringify(make(depth + 1))}`).join(',')}}`,
          );
      }
    };
    let found = 0;
    for (let round = 0; round < 5_000; round++) {
      const json = make(0);
      const steps = Array.from({ length: 1 + random.int(3) }, () => random.pick([...names, '1']));
      let expected: unknown = json;
      for (const step of steps) {
        if (Array.isArray(expected)) expected = /^\d+$/.test(step) ? (expected as unknown[])[Number(step)] : undefined;
        else if (typeof expected === 'object' && expected !== null) {
          expected = new Map(Object.entries(expected)).get(step);
        } else expected = undefined;
      }
      if (expected !== undefined) found++;
      const dotted = steps.join('.');
      const pointer = steps.map((step) => `/${step}`).join('');
      for (const text of [dotted, pointer]) {
        const path = parsePayloadPath(text);
        if (isProblem(path)) throw new Error(problemText(path));
        expect(valueAt(json, path), `${text} in ${JSON.stringify(json)}, seed ${random.seed}`).toEqual(expected);
      }
    }
    expect(found).toBeGreaterThan(200);
  });

  it('is of text where the value is a text, a number, a truth value, or JSON', () => {
    expect([textOf('a'), textOf(1e21), textOf(false), textOf(null), textOf(undefined), textOf({ a: [1] })]).toEqual([
      'a',
      '1e+21',
      'false',
      undefined,
      undefined,
      '{"a":[1]}',
    ]);
  });
});
