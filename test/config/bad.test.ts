import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { renderProblems } from '../../src/config/problems.ts';
import { isSluiceError } from '../../src/errors.ts';
import { acl } from './bad/acl.ts';
import { downlinks } from './bad/downlinks.ts';
import { routes } from './bad/routes.ts';
import { together } from './bad/together.ts';
import { values } from './bad/values.ts';
import { yaml } from './bad/yaml.ts';
import { problemsOf, sandbox } from './sandbox.ts';

const cases = [...values, ...together, ...routes, ...downlinks, ...acl, ...yaml];

describe('a bad configuration', () => {
  const { load, directory, write } = sandbox();
  mkdirSync(join(directory, 'folder'));

  it.each(cases)(
    '$name is refused with its place, value and way out',
    ({ yaml: content, at, path, value, says, wayOut, code }) => {
      const problems = problemsOf(() => load(content));
      expect(problems.map((problem) => `${problem.path}: ${problem.message}`)).toHaveLength(1);
      const [problem] = problems;
      if (problem?.place.kind !== 'file') throw new Error('the problem has no place in the file');
      expect(`${problem.place.line}:${problem.place.column}`).toBe(at);
      expect(problem.path).toBe(path);
      expect(problem.value).toBe(value);
      expect(problem.message).toMatch(says);
      expect(problem.wayOut).toMatch(wayOut);
      expect(problem.code).toBe(code ?? 'CONFIG_INVALID');

      const text = renderProblems(problems, { color: false });
      expect(text).toContain(`sluice.yaml:${at}  `);
      expect(text).toContain(problem.wayOut);
      if (value !== undefined) expect(text).toContain(value);
      expect(text).not.toContain('hunter2');
      const caret = text.split('\n').find((line) => /^\s+\| +\^+$/.test(line));
      expect(caret).toBeDefined();
    },
  );

  it('has all its problems reported at once, in the order of the file', () => {
    const yaml =
      'listeners:\n  mqtt: { port: 0.5, hosst: x }\n  ws: { host: 0.0.0.0 }\nbuffer: { store: redis }\nroutes:\n  - { from: a#, to: a/b, kye: x }\nacl:\n  - { effect: alow, publish: [a#] }\n';
    const problems = problemsOf(() =>
      load(yaml, { env: { SLUICE_KAFKA_BROKER: 'a:1' }, flags: { 'log.levle': 'info' } }),
    );
    expect(problems.map((problem) => problem.path)).toEqual([
      'listeners.mqtt.port',
      'listeners.mqtt.hosst',
      'listeners.ws.host',
      'buffer.url',
      'routes[0].from',
      'routes[0].to',
      'routes[0].kye',
      'acl[0].effect',
      'acl[0].publish[0]',
      '',
      '',
    ]);
  });

  it('does not report what only follows from another problem', () => {
    const follow =
      'buffer:\n  store: rediss\n  url: redis://localhost\nlisteners:\n  mqtt: false\n  ws: false\n  mqtts: { port: 1 }\n';
    expect(problemsOf(() => load(follow)).map((problem) => problem.path)).toEqual([
      'buffer.store',
      'listeners.mqtts.tls',
    ]);
  });

  it('numbers the routes behind a broken one as they are in the file', () => {
    const yaml = 'routes:\n  - { from: 5, to: 6 }\n  - { to: t }\n  - { from: b+, to: t }\n';
    expect(problemsOf(() => load(yaml)).map((problem) => problem.path)).toEqual([
      'routes[0].from',
      'routes[0].to',
      'routes[1].from',
      'routes[2].from',
    ]);
  });

  it('is a SluiceError whose message is the whole report', () => {
    let thrown: unknown;
    try {
      load('buffer: { shards: 0 }\n');
    } catch (error) {
      thrown = error;
    }
    expect(isSluiceError(thrown, 'CONFIG_INVALID')).toBe(true);
    expect((thrown as Error).message).toContain('1 problem in the configuration');
    expect((thrown as Error).message).toContain('buffer.shards = 0');
  });

  it('that is no text, too long, or too deep is refused without being parsed', () => {
    const messages = [
      Uint8Array.from([0x61, 0x3a, 0xff, 0xfe]),
      '#'.repeat(2 ** 20 + 1),
      '['.repeat(50_000),
      '- '.repeat(50_000) + 'a',
      Array.from({ length: 400 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    ].map((content) => problemsOf(() => load(content)).map((problem) => problem.message));
    expect(messages.map(([message]) => message)).toEqual([
      expect.stringMatching(/not UTF-8/),
      expect.stringMatching(/1048577 bytes/),
      expect.stringMatching(/levels deep/),
      expect.stringMatching(/levels deep/),
      expect.stringMatching(/levels deep/),
    ]);
  });

  it('whose aliases multiply is cut off', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let index = 1; index < 9; index++) lines.push(`a${index}: &a${index} [${`*a${index - 1}, `.repeat(10)}]`);
    const started = performance.now();
    const problems = problemsOf(() => load(lines.join('\n')));
    expect(problems.some((problem) => /unfolds to more than/.test(problem.message))).toBe(true);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('whose alias holds itself is cut off', () => {
    const problems = problemsOf(() => load('buffer: &a\n  path: *a\n'));
    expect(problems.length).toBeGreaterThan(0);
  });

  it('in a file that cannot be read says which and why', () => {
    const read = (file: string) => () => loadConfig({ file, env: {} });
    expect(read(join(directory, 'absent.yaml'))).toThrow(/cannot read .*absent\.yaml: there is no such file/);
    expect(read(join(directory, 'folder'))).toThrow(/it is a directory/);
  });

  it('given as an object names the path', () => {
    const input = { buffer: { store: 'level', shard: 3 }, limits: { connections: '5' } } as never;
    expect(problemsOf(() => loadConfig({ input, env: {} })).map(({ path, place }) => [path, place.kind])).toEqual([
      ['buffer.shard', 'object'],
      ['limits.connections', 'object'],
    ]);
  });

  it('shows the line of the problem, with tabs and control characters as blanks and a window of a long line', () => {
    const file = write(
      'long.yaml',
      `kafka: { clientId: "${'x'.repeat(300)}", compression: lz5, brokers: ["\u001b[31m:1"] }\n`,
    );
    const text = renderProblems(
      problemsOf(() => loadConfig({ file, env: {} })),
      { color: false },
    );
    expect(text).toContain('compression: lz5');
    expect(text).not.toContain('\u001b');
    expect(
      Math.max(
        ...text
          .split('\n')
          .filter((line) => line.includes(' | '))
          .map((line) => line.length),
      ),
    ).toBeLessThan(125);
  });
});
