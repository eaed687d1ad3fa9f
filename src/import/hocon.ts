/**
 * HOCON as far as EMQX's configuration files use it: JSON, with `=` or nothing for the colon, newlines for commas, comments,
 * keys with dots, bare texts, and texts in three quotes. Includes and substitutions are refused. https://github.com/lightbend/config/blob/main/HOCON.md
 */
const CHARACTERS_MAX = 4 * 1024 * 1024;
const DEPTH_MAX = 50;

export type HoconObject = { readonly [key: string]: unknown };

/** @throws Error with the line */
export function parseHocon(text: string): HoconObject {
  if (text.length > CHARACTERS_MAX) throw new Error(`it has more than ${CHARACTERS_MAX} characters`);
  return new Reader(text).file();
}

type Building = Record<string, unknown>;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  file(): HoconObject {
    this.#skip(true);
    const braced = this.#take('{');
    const object = this.#fields(0);
    if (braced && !this.#take('}')) throw this.#fault('a } is missing');
    this.#skip(true);
    if (this.#at < this.#text.length) throw this.#fault(`unexpected '${this.#text[this.#at]}'`);
    return object;
  }

  #fields(depth: number): Building {
    if (depth > DEPTH_MAX) throw this.#fault(`more than ${DEPTH_MAX} levels`);
    const object = Object.create(null) as Building;
    for (;;) {
      this.#skip(true);
      const next = this.#text[this.#at];
      if (next === undefined || next === '}') return object;
      if (/^include\s*["(]/.test(this.#text.slice(this.#at, this.#at + 20))) throw this.#fault('include is not read');
      const path = this.#key();
      this.#skip(false);
      if (this.#take('+=')) throw this.#fault('+= is not read');
      if (!this.#take('=') && !this.#take(':') && this.#text[this.#at] !== '{') throw this.#fault('a = is missing');
      this.#skip(true);
      put(object, path, this.#value(depth));
    }
  }

  #key(): string[] {
    const path: string[] = [];
    do {
      if (this.#text[this.#at] === '"') path.push(this.#quoted());
      else {
        const bare = /^[\w$-]+/.exec(this.#text.slice(this.#at, this.#at + 300))?.[0];
        if (bare === undefined) throw this.#fault('a key is expected');
        this.#at += bare.length;
        path.push(bare);
      }
    } while (this.#take('.'));
    return path;
  }

  #value(depth: number): unknown {
    const next = this.#text[this.#at];
    if (this.#take('{')) {
      const object = this.#fields(depth + 1);
      if (!this.#take('}')) throw this.#fault('a } is missing');
      return object;
    }
    if (this.#take('[')) return this.#list(depth + 1);
    if (next === '"') return this.#quoted();
    const bare = /^[^\n\r,{}[\]#"]*/.exec(this.#text.slice(this.#at, this.#at + 10_000))![0];
    const end = bare.indexOf('//');
    const word = (end < 0 ? bare : bare.slice(0, end)).trim();
    const substituted = word.endsWith('$') && this.#text[this.#at + bare.length] === '{';
    if (word === '' || substituted) throw this.#fault('a value is expected; substitutions are not read');
    this.#at += end < 0 ? bare.length : end;
    if (word === 'true' || word === 'false') return word === 'true';
    if (word === 'null') return null;
    return /^-?\d+(?:\.\d+)?$/.test(word) ? Number(word) : word;
  }

  #list(depth: number): unknown[] {
    if (depth > DEPTH_MAX) throw this.#fault(`more than ${DEPTH_MAX} levels`);
    const list: unknown[] = [];
    for (;;) {
      this.#skip(true);
      if (this.#take(']')) return list;
      if (this.#at >= this.#text.length) throw this.#fault('a ] is missing');
      list.push(this.#value(depth));
    }
  }

  #quoted(): string {
    if (this.#take('"""')) {
      const end = this.#text.indexOf('"""', this.#at);
      if (end < 0) throw this.#fault('""" does not end');
      const text = this.#text.slice(this.#at, end);
      this.#at = end + 3;
      // `"""~` begins a text that is indented with the file, up to `~"""`.
      return /^~\r?\n/.test(text) ? text.replace(/^~\r?\n/, '').replace(/\s*~$/, '') : text;
    }
    let end = this.#at + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === '\\' ? 2 : 1;
    const text = this.#text.slice(this.#at, end + 1);
    try {
      const value = JSON.parse(text) as string;
      this.#at = end + 1;
      return value;
    } catch {
      throw this.#fault('a text in quotes does not end, or holds what it may not');
    }
  }

  #skip(commas: boolean): void {
    const blank = commas ? /(?:[\s,]|#[^\n]*|\/\/[^\n]*)*/y : /[ \t]*/y;
    blank.lastIndex = this.#at;
    this.#at += blank.exec(this.#text)?.[0].length ?? 0;
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #fault(what: string): Error {
    return new Error(`line ${this.#text.slice(0, this.#at).split('\n').length}: ${what}`);
  }
}

/** Objects are merged, everything else is replaced. */
function put(object: Building, path: readonly string[], value: unknown): void {
  let at = object;
  for (const key of path.slice(0, -1)) {
    const inner = at[key];
    at = isObject(inner) ? inner : (at[key] = Object.create(null) as Building);
  }
  const key = path.at(-1)!;
  const known = at[key];
  if (isObject(known) && isObject(value)) for (const [name, each] of Object.entries(value)) put(known, [name], each);
  else at[key] = value;
}

export function isObject(value: unknown): value is HoconObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
