import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { Command, InvalidArgumentError } from 'commander';
import { hashPassword, parseHash, passwordMatches, standardCost } from '../auth/password.ts';
import { userNameFault } from '../auth/user-name.ts';
import { parseUsers, withUser } from '../auth/users-file.ts';
import { errorText, SluiceError } from '../errors.ts';
import { ExitCode } from './exit-codes.ts';

const PASSWORD_MAX_BYTES = 1_024;

interface Flags {
  readonly file: string;
  readonly cost: number;
}

export function passwdCommand(): Command {
  const command = new Command('passwd').description('add, remove and verify users of a users file (auth.users)');
  const withFile = (name: string, description: string): Command =>
    command.command(name).description(description).option('-f, --file <path>', 'the users file', 'users.txt');
  withFile('add', 'add a user, or change its password, which is read from standard input')
    .argument('<user>', 'its name', userName)
    .option('--cost <n>', 'log2 of the cost of scrypt, 10 to 20', costOf, standardCost.ln)
    .action(async (user: string, { file, cost }: Flags) => {
      const password = await readPassword(`password of ${user}: `);
      const hash = await hashPassword(password, { ...standardCost, ln: cost });
      await change(file, (text) => withUser(text, user, hash));
      process.stdout.write(`${user} is in ${file}\n`);
    });
  withFile('remove', 'remove a user')
    .argument('<user>', 'its name', userName)
    .action(async (user: string, { file }: Flags) => {
      let wasThere = false;
      await change(file, (text) => {
        wasThere = parseUsers(text, file).has(user);
        return withUser(text, user, undefined);
      });
      process.stdout.write(wasThere ? `${user} is removed from ${file}\n` : `${user} is not in ${file}\n`);
      if (!wasThere) process.exitCode = ExitCode.checkFailed;
    });
  withFile('verify', 'say whether a password, read from standard input, is that of a user')
    .argument('<user>', 'its name', userName)
    .action(async (user: string, { file }: Flags) => {
      const stored = parseUsers(await textOf(file), file).get(user);
      const password = await readPassword(`password of ${user}: `);
      const right = stored !== undefined && (await passwordMatches(password, stored));
      process.stdout.write(right ? 'the password is right\n' : 'wrong user or password\n');
      if (!right) process.exitCode = ExitCode.checkFailed;
    });
  return command;
}

function userName(text: string): string {
  const fault = text.includes(':') ? 'holds a colon' : text.startsWith('#') ? 'begins with #' : userNameFault(text);
  if (fault !== undefined) throw new InvalidArgumentError(`the user name ${fault}`);
  return text;
}

function costOf(text: string): number {
  const ln = Number(text);
  const possible = Number.isInteger(ln) && parseHash(`$scrypt$ln=${ln},r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`);
  if (!possible) throw new InvalidArgumentError('write a whole number from 10 to 18');
  return ln;
}

/** Never an argument: those are seen by everyone on the machine. One line; the end of the line is not part of it. */
async function readPassword(prompt: string): Promise<Buffer> {
  const { stdin, stderr } = process;
  const isTerminal = stdin.isTTY === true;
  if (isTerminal) stderr.write(prompt);
  // On a terminal readline takes the echo over, and writes it to nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, ...(isTerminal ? { output: nowhere, terminal: true } : {}) });
  try {
    for await (const line of lines) {
      const password = Buffer.from(line);
      if (password.length === 0 || password.length > PASSWORD_MAX_BYTES)
        throw new SluiceError('CONFIG_INVALID', `a password has 1 to ${PASSWORD_MAX_BYTES} bytes`, {
          hint: 'write it to standard input, with a line end behind it',
        });
      return password;
    }
  } finally {
    lines.close();
  }
  throw new SluiceError('CONFIG_INVALID', 'no password came on standard input', { hint: 'echo it into the command' });
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new SluiceError('AUTH_FILE', `cannot read ${file}: ${errorText(cause)}`, { cause });
  }
}

/** The new file takes the place of the old one whole, and only one at a time changes it: nobody ever reads half a file. */
async function change(file: string, edit: (text: string) => string): Promise<void> {
  const next = `${file}.new`;
  let handle;
  try {
    handle = await open(next, 'wx', 0o600);
  } catch (cause) {
    throw new SluiceError('AUTH_FILE', `cannot write ${next}: ${errorText(cause)}`, {
      cause,
      hint: 'another `sluice passwd` is at it, or was ended: then remove that file',
    });
  }
  try {
    const before = await stat(file).catch(() => undefined);
    const text = before === undefined ? '' : await textOf(file);
    parseUsers(text, file);
    await handle.writeFile(edit(text));
    if (before !== undefined) await handle.chmod(before.mode & 0o777);
    await handle.sync();
    await handle.close();
    await rename(next, file);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(next, { force: true });
    throw error;
  }
}
