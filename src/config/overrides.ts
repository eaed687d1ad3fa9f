/** SLUICE_ variables and flags: single values that stand above the file. */
import { nearest } from './nearest.ts';
import type { Place, Problem } from './problems.ts';
import { pathText, textFields } from './shape.ts';
import { typed } from './text-value.ts';
import type { ConfigTree } from './tree.ts';
import { isUnbuiltKey, notBuiltYet } from './unbuilt.ts';

/** Kubernetes sets SLUICE_PORT=tcp://…, SLUICE_SERVICE_HOST and more in every pod beside a service named sluice. */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_(HOST|PORT(_\w+)?)$/.test(name) ||
    (/_PORT(_|$)/.test(name) && /^(tcp|udp|sctp):\/\//.test(value)) ||
    /_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$/.test(name)
  );
}

export function applyEnvironment(tree: ConfigTree, env: Readonly<Record<string, string | undefined>>): Problem[] {
  const problems: Problem[] = [];
  const fields = textFields();
  for (const { path, node, variable } of fields) {
    const text = Object.hasOwn(env, variable) ? env[variable] : undefined;
    const value = text === undefined ? undefined : typed(text, node);
    if (value !== undefined) tree.set(path, value, { kind: 'environment', variable });
  }
  const known = new Set(fields.map((field) => field.variable));
  for (const [name, value] of Object.entries(env).sort()) {
    if (!name.startsWith('SLUICE_') || value === undefined || known.has(name)) continue;
    if (isServiceLink(name, value)) continue;
    const close = nearest(
      name.slice('SLUICE_'.length),
      [...known].map((variable) => variable.slice('SLUICE_'.length)),
    );
    problems.push(
      unknown(
        { kind: 'environment', variable: name },
        'no such variable is known',
        close === undefined
          ? `unset ${name}; docs/configuration.md lists the variables`
          : `did you mean SLUICE_${close}?`,
      ),
    );
  }
  return problems;
}

export function applyFlags(tree: ConfigTree, flags: Readonly<Record<string, string>>): Problem[] {
  const problems: Problem[] = [];
  const fields = textFields();
  const byPath = new Map(fields.map((field) => [pathText(field.path), field]));
  // Parents first: `listeners.ws=false` must not undo `listeners.ws.port=…` by coming later.
  const given = Object.entries(flags).sort(([a], [b]) => a.split('.').length - b.split('.').length);
  for (const [name, text] of given) {
    const flag = `--set ${name}`;
    const field = byPath.get(name);
    if (field !== undefined) {
      const value = typed(text, field.node);
      if (value === undefined) problems.push(unknown({ kind: 'flag', flag }, 'has no value', `write ${name}=VALUE`));
      else tree.set(field.path, value, { kind: 'flag', flag });
    } else if (isUnbuiltKey(name.split('.'))) {
      problems.push(unknown({ kind: 'flag', flag }, notBuiltYet, 'leave it out'));
    } else {
      const close = nearest(name, byPath.keys());
      const [, section] = /^(routes|headers|downlinks)\b/.exec(name) ?? [];
      const list =
        section !== undefined
          ? `${section === 'headers' ? 'routes' : section} are set in the file`
          : 'docs/configuration.md lists the keys';
      problems.push(
        unknown(
          { kind: 'flag', flag },
          `unknown key ${JSON.stringify(name)}`,
          close === undefined ? list : `did you mean ${close}?`,
        ),
      );
    }
  }
  return problems;
}

function unknown(place: Place, message: string, wayOut: string): Problem {
  return { code: 'CONFIG_INVALID', place, path: '', value: undefined, message, wayOut, excerpt: undefined };
}
