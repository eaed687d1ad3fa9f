import { describe, expect, it } from 'vitest';
import { describeConfig, redact } from '../../src/config/describe.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError, renderProblems } from '../../src/config/problems.ts';
import { problemsOf, sandbox } from './sandbox.ts';

const { load } = sandbox();
const sasl = 'sasl: { mechanism: plain, username: anna, password: hunter2 }';

/** Everything that a problem or an error may show. */
function everythingShown(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [
      renderProblems(error.problems, { color: true }),
      JSON.stringify(error.problems),
      error.message,
      error.stack,
    ].join('\n');
  }
  throw new Error('nothing was refused');
}

describe('a secret', () => {
  it.each([
    ['beside a problem on its line', `kafka: { ${sasl}, brokers: x }`],
    ['that is wrong itself', 'kafka:\n  sasl:\n    mechanism: plain\n    username: u\n    password: [hunter2]\n'],
    ['under a misspelt key', 'kafka:\n  sasl: { mechanism: plain, username: u, pasword: hunter2 }\n'],
    ['under an unknown section', 'redis: { password: hunter2 }\n'],
    ['in a URL', 'buffer: { url: "redis://u:hunter2@localhost", stor: level }\n'],
    ['in a URL that is none', 'buffer: { store: redis, url: "http://u:p/hunter2@h@localhost" }\n'],
    ['in a URL of another key', 'kafka: { brokers: ["kafka://u:hunter2@localhost"] }\n'],
    ['in the query of a URL', 'auth: { http: { url: "https://h/auth?key=hunter2&x=1", timeot: 1s } }\n'],
    ['in the query of a URL of another key', 'kafka: { brokers: ["http://localhost/?key=hunter2"] }\n'],
    ['on a line that is no YAML', 'kafka:\n  password: hunter2: x\n'],
    ['in braces that do not close', `kafka: { ${sasl}\nlog: {}\n`],
    ['below its key, and no YAML', 'kafka:\n  password:\n    hunter2: a: b\n'],
    ['twice', 'kafka:\n  sasl:\n    password: hunter2\n    password: hunter2\n'],
    [
      'in a block',
      'kafka:\n  sasl:\n    mechanism: plain\n    username: u\n    password: |\n      hunter2\n    passwort: x\n',
    ],
    ['after quotes that close early', 'kafka:\n  sasl: { mechanism: plain, username: u, password: "x" hunter2 }\n'],
  ])('%s is not shown', (_, yaml) => {
    const shown = everythingShown(() => load(yaml));
    expect(shown).toContain('problem');
    expect(shown).not.toContain('hunter2');
  });

  it('keeps the caret where the problem is', () => {
    const problems = problemsOf(() => load(`kafka: { ${sasl}, compresion: lz4 }`));
    const [, source, caret] = renderProblems(problems, { color: false }).split('\n').slice(2);
    expect(source).toContain('password: ***');
    expect(caret?.indexOf('^')).toBe(source?.indexOf('compresion'));
  });

  it('from the environment or a flag is not shown', () => {
    const env = {
      SLUICE_KAFKA_SASL_PASSWORD: 'hunter2',
      SLUICE_BUFFER_URL: 'redis://:hunter2@h',
      P: 'hunter2',
      SLUICE_PASSWORD: 'hunter2',
    };
    const flags = { 'kafka.sasl.mechanism': 'nix', 'kafka.pasword': 'hunter2' };
    expect(
      everythingShown(() => load('kafka: { sasl: { clientSecret: "${P}", x: "${P}" } }', { env, flags })),
    ).not.toContain('hunter2');
  });

  it('is masked by redact() and describeConfig(), and nothing else is', () => {
    const { config } = load(
      `kafka: { ${sasl} }\nbuffer: { store: redis, url: "redis://anna:hunter2@localhost:6379/1" }\n`,
    );
    const redacted = redact(config);
    expect(redacted.kafka.sasl).toEqual({ mechanism: 'plain', username: 'anna', password: '***' });
    expect(redacted.buffer.url).toBe('redis://anna:***@localhost:6379/1');
    expect({ ...redacted, kafka: 0, buffer: 0 }).toEqual({ ...config, kafka: 0, buffer: 0 });
    expect(describeConfig(config)).toContain('plain as anna');
    expect(describeConfig(config)).toContain('redis://anna:***@localhost:6379/1');
    expect(describeConfig(config)).not.toContain('hunter2');
    expect(config.kafka.sasl).toMatchObject({ password: 'hunter2' });
  });
});

describe('describeConfig', () => {
  it('says what would run', () => {
    expect(describeConfig(loadConfig({ env: {} }).config)).toMatch(
      /mqtt:\/\/127\.0\.0\.1:1883[\s\S]*ws:\/\/127\.0\.0\.1:8083\/mqtt[\s\S]*level; 4 shards; 10GB[\s\S]*localhost:9092[\s\S]*default: # -> mqtt\.messages, key {clientId}[\s\S]*sluice\.dead-letter/,
    );
  });
});

describe('a mangled configuration', () => {
  it('is refused or accepted, never a crash, never a secret shown', () => {
    const whole = `listeners:\n  mqtt: { port: 1883 }\nbuffer:\n  store: redis\n  url: redis://:hunter2@localhost:6379\nkafka:\n  brokers: [a:1, b:2]\n  ${sasl}\nroutes:\n  - from: devices/{id}/#\n    to: t\n    key: "{id}"\nlog: { level: info }\n`;
    const seed = 20240607;
    let state = seed;
    const next = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ':',
      '\n',
      '\t',
      '"',
      "'",
      '#',
      '&a ',
      '*a',
      '${',
      '${X}',
      '- ',
      'null',
      '? ',
      '| ',
      '<<: ',
      '!!x ',
      '__proto__: ',
      '---\n',
      '%',
      '\u0000',
      '😀',
    ];
    const outcome = (text: string): string => {
      try {
        return describeConfig(load(text).config);
      } catch (error) {
        return error instanceof ConfigError
          ? renderProblems(error.problems, { color: false })
          : `crash: ${String(error)}`;
      }
    };
    for (let round = 0; round < 1500; round++) {
      let text = whole;
      for (let edit = next(3); edit >= 0; edit--) {
        const at = next(text.length);
        const piece = pieces[next(pieces.length)] ?? '';
        const length = next(4);
        // A secret torn apart, or away from its key, cannot be known as one.
        const tears = [...text.matchAll(/hunter2/g)].some(({ index }) => at > index - 14 && at < index + 7);
        if (!tears) text = text.slice(0, at) + piece + text.slice(at + length);
      }
      const shown = outcome(text);
      const context = `seed ${seed}, round ${round}: ${JSON.stringify(text)}`;
      expect(shown, context).not.toContain('hunter2');
      expect(shown, context).not.toMatch(/^crash/);
    }
  });
});
