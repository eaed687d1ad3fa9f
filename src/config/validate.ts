/**
 * From a tree to a configuration, with everything that is wrong with it.
 *
 * zod checks how fields go together only once each of them is right. So that one round tells all: what is wrong is taken out,
 * its default stands in, and the rest is checked again, until nothing is left. What rests on a value that was taken out is
 * not reported.
 */
import { checkAcl } from './acl-checks.ts';
import { resolve, type SluiceConfig } from './config.ts';
import { findingsOf } from './issues.ts';
import { checkListeners } from './listener-checks.ts';
import { absolutePaths, checkPaths } from './paths.ts';
import type { Problem } from './problems.ts';
import { checkDeadLetter, checkRegistry, checkRoutes } from './route-checks.ts';
import { checkDownlinkSection } from './downlink-checks.ts';
import { schema } from './schema.ts';
import type { Path } from './shape.ts';
import type { ConfigTree, Finding } from './tree.ts';

const maxRounds = 10;

export interface Validation {
  /** What would run; where there are problems, defaults stand in for what is wrong. */
  readonly config: SluiceConfig | undefined;
  readonly problems: readonly Problem[];
}

/** `known` is reported already. The tree is changed. */
export function validate(tree: ConfigTree, file: string | undefined, known: readonly Path[]): Validation {
  const problems: Problem[] = [];
  const wrong: Path[] = [...known];
  const isAbout = (path: Path): boolean => wrong.some((other) => isPrefix(other, path));

  for (let round = 0; round < maxRounds; round++) {
    const result = schema.safeParse(tree.root);
    if (result.success) {
      const config = absolutePaths(resolve(result.data), tree, file);
      const findings = [
        ...checkListeners(config, isAbout),
        ...checkPaths(config, isAbout),
        ...checkRoutes(config.routes, isAbout),
        ...checkRegistry(config, isAbout),
        ...checkAcl(config.acl, isAbout),
        ...checkDownlinkSection(config.downlinks, isAbout),
        ...(isAbout(['deadLetter', 'topic']) ? [] : checkDeadLetter(config.deadLetter.topic)),
      ];
      return { config, problems: [...problems, ...findings.map((finding) => tree.problem(finding))] };
    }
    const found = findingsOf(result.error.issues, tree);
    const isNew = ({ path, needs = [] }: Finding): boolean =>
      !isAbout(path) && !needs.some(isAbout) && !wrong.some((other) => isPrefix(path, other));
    problems.push(...found.filter(isNew).map((finding) => tree.problem(finding)));
    takeOut(tree, found, wrong);
  }
  return { config: undefined, problems };
}

function takeOut(tree: ConfigTree, found: readonly Finding[], wrong: Path[]): void {
  const removed: Path[] = [];
  for (const { path, needs = [] } of found) {
    if (removed.some((other) => isPrefix(other, path))) continue;
    // What is missing because of another value: that one is what can be taken out.
    const target = tree.get(path) === undefined ? (needs[0] ?? path) : path;
    const gone = tree.remove(target, standIn);
    removed.push(gone);
    wrong.push(path, gone);
  }
}

/** A route, rule or downlink that is wrong makes room for one that is right, so that the others keep their numbers. */
function standIn(item: Path): unknown {
  const [section, index] = item;
  if (item.length !== 2) return undefined;
  if (section === 'routes') return { name: `(stand-in ${index})`, from: '#', to: 'stand-in' };
  if (section === 'downlinks') return { name: `stand-in-${index}`, from: 'stand-in', to: 'stand-in' };
  return section === 'acl' ? { effect: 'deny', publish: ['#'] } : undefined;
}

function isPrefix(prefix: Path, path: Path): boolean {
  return prefix.length <= path.length && prefix.every((key, index) => key === path[index]);
}
