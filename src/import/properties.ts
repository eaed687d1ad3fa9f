/** Java properties, as configuration files use them: `key=value`, `key: value`, comments, continued lines. */
const BYTES_MAX = 1024 * 1024;

export function parseProperties(text: string): ReadonlyMap<string, string> {
  if (text.length > BYTES_MAX) throw new Error(`it has more than ${BYTES_MAX} characters`);
  const found = new Map<string, string>();
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    let line = lines[at]!.trimStart();
    if (line === '' || /^[#!]/.test(line)) continue;
    while (/(?:^|[^\\])(?:\\\\)*\\$/.test(line) && at + 1 < lines.length) {
      line = line.slice(0, -1) + lines[++at]!.trimStart();
    }
    const match = /^((?:\\.|[^\\=:\s])+)\s*[=:\s]?\s*(.*)$/.exec(line);
    if (match === null) throw new Error(`line ${at + 1} is no key and value`);
    found.set(unescaped(match[1]!), unescaped(match[2]!));
  }
  return found;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f' };

function unescaped(text: string): string {
  return text.replaceAll(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_all, hex: string | undefined, one: string) =>
    hex === undefined ? (escapes[one] ?? one) : String.fromCharCode(parseInt(hex, 16)),
  );
}
