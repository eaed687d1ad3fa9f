/**
 * The users file: `name:hash` a line, `#` begins a comment line. `sluice passwd` writes it; it can be made by anything that knows
 * scrypt.
 */
import { SluiceError } from '../errors.ts';
import { formatHash, parseHash, type PasswordHash } from './password.ts';
import { userNameFault } from './user-name.ts';

export const usersFileMaxBytes = 64 * 2 ** 20;

export type Users = ReadonlyMap<string, PasswordHash>;

/** @throws SluiceError AUTH_FILE with the line that is wrong; never with what is in it */
export function parseUsers(text: string, file: string): Users {
  const users = new Map<string, PasswordHash>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line === '' || line.startsWith('#')) continue;
    const wrong = (what: string): SluiceError =>
      new SluiceError('AUTH_FILE', `${file}:${index + 1}: ${what}`, {
        hint: 'a line is name:hash; `sluice passwd` writes it',
      });
    const at = line.indexOf(':');
    if (at < 1) throw wrong('no user name with a colon behind it');
    const name = line.slice(0, at);
    const fault = userNameFault(name);
    if (fault !== undefined) throw wrong(`the user name ${fault}`);
    if (users.has(name)) throw wrong('the user is in the file twice');
    const hash = parseHash(line.slice(at + 1));
    if (hash === undefined) throw wrong('the hash is not of the form $scrypt$ln=14,r=8,p=1$salt$hash');
    users.set(name, hash);
  }
  return users;
}

/** The file with one user set (`hash`) or removed; all other lines stay as they are. */
export function withUser(text: string, name: string, hash: PasswordHash | undefined): string {
  const line = hash === undefined ? undefined : `${name}:${formatHash(hash)}`;
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const at = lines.findIndex((each) => each.startsWith(`${name}:`));
  if (line === undefined) {
    if (at >= 0) lines.splice(at, 1);
  } else if (at >= 0) lines[at] = line;
  else lines.push(line);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}
