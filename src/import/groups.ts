/** Capture groups by number, as Java counts them, become groups with names, as sluice's templates want them. */

/** The expression with its unnamed groups called g1, g2, …; and the names by number, from 1. */
export function nameGroups(regex: string): { readonly regex: string; readonly names: readonly string[] } {
  const names: string[] = [];
  let out = '';
  let inClass = false;
  for (let at = 0; at < regex.length; at++) {
    const character = regex[at]!;
    out += character;
    if (character === '\\') out += regex[++at] ?? '';
    else if (inClass) inClass = character !== ']';
    else if (character === '[') {
      inClass = true;
      // A bracket that stands first, also behind the caret, is itself.
      const first = /^\^?\]/.exec(regex.slice(at + 1))?.[0] ?? '';
      out += first;
      at += first.length;
    } else if (character === '(') {
      if (regex[at + 1] !== '?') {
        names.push(`g${names.length + 1}`);
        out += `?<${names.at(-1)}>`;
      } else {
        const named = /^\?P?<([A-Za-z_]\w*)>/.exec(regex.slice(at + 1))?.[1];
        if (named !== undefined) names.push(named);
      }
    }
  }
  return { regex: out, names };
}

/** `$1` and `${name}` of Java's replacement become `{g1}`, `{name}`; a text says which group there is none of. */
export function groupTemplate(text: string, names: readonly string[]): { readonly template: string } | string {
  let missing: string | undefined;
  const template = text.replaceAll(
    /\$(\d)|\$\{([^}]*)\}|([{}])/g,
    (_all, digit: string, name: string, brace: string) => {
      if (brace !== undefined) return brace + brace;
      const group = digit === undefined ? name : names[Number(digit) - 1];
      if (group === undefined || !names.includes(group)) missing ??= digit === undefined ? `\${${name}}` : `$${digit}`;
      return `{${group ?? ''}}`;
    },
  );
  return missing === undefined ? { template } : `there is no group ${missing}`;
}
