/** What YAML itself refuses, in words that help; and what would be too deep for its parser. */
import type { YAMLError } from 'yaml';
import type { Problem } from './problems.ts';
import type { SourceText, Span } from './source-text.ts';

export const maxDepth = 64;
const maxSyntaxProblems = 5;

/**
 * Where the text nests too deeply for a recursive parser, roughly: brackets, indentation, `- - -` on one line. Counted here,
 * because a stack overflow inside the parser's regular expressions ends the process instead of throwing.
 */
export function findDepth(text: string): number | undefined {
  let brackets = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '[' || character === '{') brackets++;
    else if ((character === ']' || character === '}') && brackets > 0) brackets--;
    if (brackets > maxDepth) return at;
  }
  const indented = new RegExp(`^(?:[ \\t]{${maxDepth * 4},}|[ \\t]*(?:[-?:][ \\t]+){${maxDepth},})\\S`, 'm').exec(text);
  return indented?.index;
}

export function atOffset(source: SourceText, span: Span, message: string, wayOut: string): Problem {
  return {
    code: 'CONFIG_INVALID',
    place: source.place(span[0]),
    path: '',
    value: undefined,
    message,
    wayOut,
    excerpt: source.excerpt(span, true),
  };
}

/** The first problem of each line; the others follow from it. */
export function syntaxProblems(source: SourceText, faults: readonly YAMLError[]): Problem[] {
  const lines = new Set<number>();
  const first = faults.filter((fault) => {
    const { line } = source.lineCounter.linePos(fault.pos[0]);
    return lines.size < maxSyntaxProblems && !lines.has(line) && lines.add(line) !== undefined;
  });
  return first.map((fault) => {
    const { message, wayOut } = syntaxWords(fault, source.text);
    return atOffset(source, fault.pos, message, wayOut);
  });
}

function syntaxWords(fault: YAMLError, text: string): { message: string; wayOut: string } {
  const before = text.slice(Math.max(0, fault.pos[0] - 1), fault.pos[0]);
  switch (fault.code) {
    case 'DUPLICATE_KEY':
      return { message: 'this key is there twice', wayOut: 'keep one of the two' };
    case 'TAB_AS_INDENT':
      return { message: 'a tab in the indentation: YAML takes spaces only', wayOut: 'replace the tab by spaces' };
    case 'BAD_INDENT':
      return {
        message: 'wrong indentation, or a bracket is not closed above',
        wayOut: 'start the keys of one mapping in the same column',
      };
    case 'MULTIPLE_DOCS':
      return { message: 'a second document begins here', wayOut: 'remove the line --- and what follows' };
    case 'BAD_SCALAR_START':
      return { message: 'a plain value cannot begin with this character', wayOut: 'put the value in quotes' };
    case 'MISSING_CHAR':
      return { message: 'a quote, bracket or comma is missing before this point', wayOut: 'close what is open above' };
    case 'TAG_RESOLVE_FAILED':
      return { message: 'YAML tags (!name) are not used here', wayOut: 'remove the tag, or put the value in quotes' };
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'MULTILINE_IMPLICIT_KEY':
      return { message: 'not a key with its value', wayOut: 'write key: value; put a value that holds ": " in quotes' };
    default:
      if (before === '$')
        return { message: 'inside { } and [ ] a ${VARIABLE} must be in quotes', wayOut: 'write "${VARIABLE}"' };
      return {
        // What follows a colon may quote the file.
        message: `not valid YAML: ${(fault.message.split(':')[0] ?? '').slice(0, 120)}`,
        wayOut: 'put values that hold { } [ ] , # * & or ": " in quotes, as in "{deviceId}"',
      };
  }
}
