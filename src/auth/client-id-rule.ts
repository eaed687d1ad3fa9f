/**
 * Which client ids an identity may use. The rule is a template: `{user}` and every attribute (`{cert.cn}`, `{jwt.device}`) stand for
 * what is proven, `*` for any text, everything else for itself: `{user}`, `{user}-*`, `site1/{cert.cn}`.
 */
import type { Identity } from './identity.ts';

type Part = { readonly text: string } | { readonly name: string } | 'any';

export class ClientIdRule {
  readonly #parts: readonly Part[];

  /** @throws Error what is wrong with the template */
  constructor(template: string) {
    this.#parts = partsOf(template);
  }

  /** What is not proven matches nothing. */
  allows(identity: Identity, clientId: string): boolean {
    const texts: string[] = [''];
    for (const part of this.#parts) {
      if (part === 'any') {
        texts.push('');
        continue;
      }
      const text =
        'text' in part ? part.text : part.name === 'user' ? identity.user : (identity.attributes.get(part.name) ?? '');
      if (text === '') return false;
      texts.push(`${texts.pop() ?? ''}${text}`);
    }
    return matches(clientId, texts);
  }
}

function partsOf(template: string): Part[] {
  if (template === '') throw new Error('is empty');
  return (template.match(/\{[^{}]*\}|\*|[{}]|[^{}*]+/g) ?? []).map((piece): Part => {
    if (piece === '*') return 'any';
    if (/^\{(?:user|(?:cert|jwt|http)\.[^{}\s]+)\}$/.test(piece)) return { name: piece.slice(1, -1) };
    if (/[{}]/.test(piece)) throw new Error(`holds ${piece}, which is none of {user}, {cert.…}, {jwt.…}, {http.…}`);
    return { text: piece };
  });
}

/** The texts in this order, the first at the start, the last at the end, anything between them. */
function matches(clientId: string, texts: readonly string[]): boolean {
  const [first = '', ...rest] = texts;
  const last = rest.pop();
  if (last === undefined) return clientId === first;
  if (!clientId.startsWith(first) || !clientId.endsWith(last) || clientId.length < first.length + last.length)
    return false;
  let at = first.length;
  const end = clientId.length - last.length;
  for (const text of rest) {
    const found = clientId.indexOf(text, at);
    if (found < 0 || found + text.length > end) return false;
    at = found + text.length;
  }
  return true;
}
