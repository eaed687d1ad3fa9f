/** The text of sluice.yaml: from offsets to line and column, and to a line that can be shown. */
import { LineCounter } from 'yaml';
import type { Excerpt, Place } from './problems.ts';

/** Offsets, end exclusive. */
export type Span = readonly [start: number, end: number];

const mask = '***';
const excerptWidth = 110;
/** `redis://user:password@host`: from the colon to the last @ of the word; `redis://:password` also where the @ was forgotten. */
const credentials = /(:\/\/[^\s:/@]*:)(?:\S*(?=@)|(?<=:\/\/:)\S+)/g;
/** `https://host/path?key=…`: keys of services are often given there. */
const query = /(:\/\/[^\s?"']*\?)[^\s"'#]+/g;
const secretLine = /(?:pass|pasw|pwd|secret|token|credential|private)[\w-]*["']?\s*[:=]\s*/i;

/** A text without the passwords and queries of the URLs in it. */
export function withoutCredentials(text: string): string {
  return text.replace(credentials, `$1${mask}`).replace(query, `$1${mask}`);
}

export class SourceText {
  readonly file: string;
  readonly text: string;
  readonly lineCounter = new LineCounter();
  readonly #secrets: Span[] = [];

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
  }

  /** What is in this span is never shown. */
  hide(span: Span): void {
    this.#secrets.push(span);
  }

  place(offset: number): Place {
    const { line, col } = this.lineCounter.linePos(offset);
    return { kind: 'file', file: this.file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** The line of `span`, secrets masked. `unparsed`: the secrets in it are not known by position, so guess generously. */
  excerpt(span: Span, unparsed = false): Excerpt {
    const lineStart = this.text.lastIndexOf('\n', span[0] - 1) + 1;
    const newline = this.text.indexOf('\n', lineStart);
    const lineEnd = newline === -1 ? this.text.length : newline;
    const hidden = this.#hiddenIn(lineStart, lineEnd, unparsed);

    let shown = '';
    let caret = -1;
    let caretEnd = -1;
    let at = lineStart;
    while (at < lineEnd) {
      const secret = hidden.find(([start, end]) => at >= start && at < end);
      const next = secret === undefined ? at + 1 : Math.min(secret[1], lineEnd);
      if (caret === -1 && span[0] < next) caret = shown.length;
      shown += secret === undefined ? printable(this.text[at] ?? '') : mask;
      if (Math.min(span[1], lineEnd) <= next && caretEnd === -1 && caret !== -1) caretEnd = shown.length;
      at = next;
    }
    if (caret === -1) caret = shown.length;
    return cut(shown.trimEnd(), caret, Math.max(1, (caretEnd === -1 ? shown.length : caretEnd) - caret));
  }

  #hiddenIn(lineStart: number, lineEnd: number, unparsed: boolean): Span[] {
    const line = this.text.slice(lineStart, lineEnd);
    const hidden = this.#secrets.filter(([start, end]) => start < lineEnd && end > lineStart);
    for (const match of [...line.matchAll(credentials), ...line.matchAll(query)]) {
      const start = lineStart + match.index + (match[1]?.length ?? 0);
      hidden.push([start, lineStart + match.index + match[0].length]);
    }
    if (unparsed) {
      const match = secretLine.exec(line);
      if (match) hidden.push([lineStart + match.index + match[0].length, lineEnd]);
      else if (this.#continuesSecret(lineStart, line)) hidden.push([lineStart, lineEnd]);
    }
    return hidden.sort((a, b) => a[0] - b[0]);
  }

  /** The line belongs to a key above that names a secret: `password:` and the word on the next line. */
  #continuesSecret(lineStart: number, line: string): boolean {
    const indent = line.search(/\S/);
    const above = this.text.slice(0, lineStart).split('\n').slice(0, -1).reverse();
    const parent = above.find((other) => other.trim() !== '' && other.search(/\S/) < indent);
    return parent !== undefined && secretLine.test(parent);
  }
}

/** Control characters would move the caret, or the terminal. */
function printable(character: string): string {
  return /\p{Cc}/u.test(character) ? ' ' : character;
}

/** A window of a long line around the caret. */
function cut(text: string, caret: number, length: number): Excerpt {
  const from = text.length <= excerptWidth ? 0 : Math.max(0, Math.min(caret - 40, text.length - excerptWidth));
  const window = text.slice(from, from + excerptWidth);
  const column = caret - from;
  return { text: window, column: column + 1, length: Math.max(1, Math.min(length, window.length - column)) };
}
