import { describe, expect, it } from 'vitest';
import { parseCondition, type Condition } from '../../src/routes/condition.ts';
import { isProblem, problemText } from '../../src/routes/problem.ts';

const message = {
  clientId: 'c1',
  topic: 'devices/d1/t',
  user: 'ann',
  qos: 1,
  retain: false,
  receivedAt: 1_700_000_000_000,
  properties: { contentType: 'application/json', userProperties: [['k', '1'] as const, ['k', '2'] as const] },
};
const payload: unknown = JSON.parse(
  '{"t":21.5,"n":3,"s":"abc","list":[1,2,3],"constructor":"q","__proto__":{"z":1},"nothing":null}',
);

function condition(text: string): Condition {
  const parsed = parseCondition(text, ['deviceId']);
  if (isProblem(parsed)) throw new Error(problemText(parsed));
  return parsed;
}

const holds = (text: string, of: unknown = payload): boolean => condition(text).holds(message, ['d1'], of);

describe('a condition', () => {
  it.each([
    ['payload.t > 20', true],
    ['payload.t > 20.0 && payload.n == 3', true],
    ['payload.n in [1, 2, 3]', true],
    ['payload.s.startsWith("a") || payload.none == 1', true],
    ['has(payload.none) && payload.none > 1', false],
    ['payload.nothing == null', true],
    ['size(payload.list) == 3 && payload.list[2] == 3', true],
    ['payload.constructor == "q" && payload.__proto__.z == 1', true],
    ['levels[1] == "d1" && size(levels) == 3', true],
    ['deviceId == "d1"', true],
    ['clientId == "c1" && user == "ann" && topic.endsWith("/t")', true],
    ['qos == 1 && !retain', true],
    ['userProperty.k == "1"', true],
    ['"none" in userProperty', false],
    ['contentType == "application/json"', true],
    ['receivedAt > 1600000000000', true],
    ['topic.matches("^devices/[a-z0-9]+/t$") && (payload.s).matches("b")', true],
    ['topic.matches("^t$")', false],
    ['true', true],
  ])('%s: %s', (text, expected) => {
    expect(holds(text)).toBe(expected);
  });

  it('knows whether it needs the payload', () => {
    expect(condition('payload.t > 1').usesPayload).toBe(true);
    expect(condition('topic == "payload"').usesPayload).toBe(false);
  });

  it.each([
    ['payload.none > 1', /No such key: none/],
    ['payload.s > 1', /no such overload/i],
    ['payload.t', /gives number, not true or false/],
    ['userProperty.none == "1"', /No such key/],
    ['levels[7] == "x"', /index|No such key/i],
    ['payload.toString == 1', /No such key/],
  ])('%s cannot be told: that is an error, not a no', (text, reason) => {
    expect(() => holds(text)).toThrowError(reason);
  });

  it.each([undefined, null, 5, 'text', [1]])('of fields of a payload that is %s cannot be told', (odd) => {
    expect(() => condition('payload.t > 1').holds(message, ['d1'], odd)).toThrowError();
  });

  it.each([
    ['', /no condition/],
    ['1 +', /no condition/],
    ['foo == 1', /Unknown variable: foo.*known: clientId/],
    ['process.exit(1)', /no condition/],
    ['"text"', /gives string, not true or false/],
    ['qos', /gives int/],
    ['payload.list.exists(x, x > 1)', /exists\(\) is a loop/],
    ['payload.list.map(x, x) == []', /map\(\) is a loop/],
    ['payload.list.all(x, payload.list.all(y, true))', /is a loop/],
    ['cel.bind(x, 1, x == 1)', /bind\(\) is a loop/],
    ['topic.matches(payload.s)', /not constant/],
    ['topic.matches("(a")', /no regular expression/],
    ['topic.matches("(?=a)")', /no regular expression/],
    [`payload.t ${'+ 1.0 '.repeat(200)} > 1.0`, /no condition|characters/],
    ['('.repeat(100) + 'true' + ')'.repeat(100), /no condition/],
    [`topic == "${'a'.repeat(2_000)}"`, /2\d\d\d characters/],
  ])('%s is refused', (text, reason) => {
    const parsed = parseCondition(text, []);
    expect(isProblem(parsed) ? problemText(parsed) : 'not refused').toMatch(reason);
  });

  it('is not slowed down by an expression that backtracks elsewhere', () => {
    const slow = condition('payload.s.matches("^(a+)+$")');
    const started = performance.now();
    expect(slow.holds(message, ['d1'], { s: `${'a'.repeat(100_000)}!` })).toBe(false);
    // Backtracking would not come to an end.
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
