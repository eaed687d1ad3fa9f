import { SluiceError, type ErrorCode } from '../errors.ts';

/** Where a value of the configuration comes from. */
export type Place =
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'flag'; readonly flag: string }
  /** A plain object given to the library, or a default. */
  | { readonly kind: 'object' };

/** The line of the file that a problem is about; what is secret in it is masked. */
export interface Excerpt {
  readonly text: string;
  /** Columns from 1, in `text`; the caret marks `length` of them. */
  readonly column: number;
  readonly length: number;
}

export interface Problem {
  readonly code: Extract<ErrorCode, 'CONFIG_INVALID' | 'INSECURE_LISTENER'>;
  readonly place: Place;
  /** Dotted path, e.g. `listeners.mqtt.port` or `routes[0].to`; '' is the whole document. */
  readonly path: string;
  /** The offending value as text, secrets masked; undefined where there is none. */
  readonly value: string | undefined;
  /** What is wrong and what was expected. */
  readonly message: string;
  /** What to do about it. */
  readonly wayOut: string;
  readonly excerpt: Excerpt | undefined;
}

/** Everything that is wrong with a configuration, not only the first. */
export class ConfigError extends SluiceError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super('CONFIG_INVALID', renderProblems(problems, { color: false }));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export function placeText(place: Place): string {
  switch (place.kind) {
    case 'file':
      return `${place.file}:${place.line}:${place.column}`;
    case 'environment':
      return `environment variable ${place.variable}`;
    case 'flag':
      return `flag ${place.flag}`;
    case 'object':
      return 'configuration';
  }
}

/** One paragraph per problem: place, what is wrong, the line with a caret where there is a file, the way out. */
export function renderProblems(problems: readonly Problem[], options: { color: boolean }): string {
  const paint = (code: number, text: string): string => (options.color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const paragraphs = problems.map((problem) => {
    const subject =
      problem.path === ''
        ? ''
        : `${paint(1, problem.path)}${problem.value === undefined ? '' : ` = ${problem.value}`}: `;
    const lines = [`${paint(36, placeText(problem.place))}  ${subject}${paint(31, problem.message)}`];
    if (problem.excerpt !== undefined && problem.place.kind === 'file') {
      const number = String(problem.place.line);
      const { text, column, length } = problem.excerpt;
      lines.push(`  ${number} | ${text}`);
      lines.push(
        `  ${' '.repeat(number.length)} | ${' '.repeat(column - 1)}${paint(31, '^'.repeat(Math.max(1, length)))}`,
      );
    }
    lines.push(`  -> ${problem.wayOut}`);
    return lines.join('\n');
  });
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  return `${count} in the configuration\n\n${paragraphs.join('\n\n')}`;
}
