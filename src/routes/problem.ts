/** What is wrong with a text that an operator wrote (a filter, a template, a route), and the way out. */
export interface TextProblem {
  readonly kind: 'problem';
  /** What is wrong, quoting the part in question. */
  readonly message: string;
  /** What to write instead. */
  readonly wayOut: string;
}

export function problem(message: string, wayOut: string): TextProblem {
  return { kind: 'problem', message, wayOut };
}

export function isProblem(value: { readonly kind: string }): value is TextProblem {
  return value.kind === 'problem';
}

/** Both halves in one line. */
export function problemText({ message, wayOut }: TextProblem): string {
  return `${message}; ${wayOut}`;
}

const QUOTED_MAX_CHARACTERS = 80;

/** A text for a message: bounded, and with control characters visible. */
export function quoted(text: string): string {
  const cut = text.length > QUOTED_MAX_CHARACTERS ? `${text.slice(0, QUOTED_MAX_CHARACTERS)}…` : text;
  return `'${cut.replaceAll(/[\p{Cc}\p{Cs}]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}'`;
}

/** The known name that is nearest to a mistyped one; undefined where none is near. */
export function closest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  // A third of the letters may differ: more is another word.
  let bestDistance = Math.floor(Math.min(name.length, 64) / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.slice(0, 64).toLowerCase(), candidate.slice(0, 64).toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
