/** What only the language of access rules can tell: topic patterns, and conditions that do not go together. */
import { checkRules, type AccessRule } from '../auth/access/rules.ts';
import type { Path } from './shape.ts';
import type { Finding } from './tree.ts';

/** `skip`: this value is wrong already, or stands in for one that is. */
export function checkAcl(rules: readonly AccessRule[], skip: (path: Path) => boolean): Finding[] {
  return checkRules(rules)
    .map(({ path, message, wayOut }) => ({ path: ['acl', ...path], message, wayOut }))
    .filter(({ path }) => !skip(path));
}
