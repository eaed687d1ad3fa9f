import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatHash, hashPassword, parseHash, passwordMatches } from '../../src/auth/password.ts';
import { parseUsers, withUser } from '../../src/auth/users-file.ts';
import { UsersMethod } from '../../src/auth/users.ts';
import { eventually } from '../support/eventually.ts';
import { attempt, heard } from './attempt.ts';

/** Cheap: what is tested is not the cost. */
const cost = { ln: 10, r: 8, p: 1 };
const lineOf = async (name: string, password: string): Promise<string> =>
  `${name}:${formatHash(await hashPassword(Buffer.from(password), cost))}\n`;

let directory: string;
let anna: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-users-'));
  anna = await lineOf('anna', 'right');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

let files = 0;
async function fileWith(text: string): Promise<string> {
  const file = join(directory, `users-${files++}.txt`);
  await writeFile(file, text);
  return file;
}

async function open(text: string) {
  const events = heard();
  const file = await fileWith(text);
  const users = await UsersMethod.open({ file, pollMs: 20 }, events);
  return { users, events, file };
}

describe('a password hash', () => {
  it('is what other programs know as $scrypt$, and survives being written down', async () => {
    // RFC 7914 §12: scrypt("pleaseletmein", "SodiumChloride", 16384, 8, 1), the first 32 bytes.
    const rfc = parseHash('$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI');
    if (rfc === undefined) throw new Error('not read');
    expect(await passwordMatches(Buffer.from('pleaseletmein'), rfc)).toBe(true);
    expect(await passwordMatches(Buffer.from('pleaseletmeout'), rfc)).toBe(false);
    expect(parseHash(formatHash(rfc))).toEqual(rfc);
  });

  it('is salted: the same password twice is not the same text', async () => {
    const [one, other] = await Promise.all([
      hashPassword(Buffer.from('x'), cost),
      hashPassword(Buffer.from('x'), cost),
    ]);
    expect(formatHash(one)).not.toBe(formatHash(other));
  });

  it.each([
    ['plain text', 'right'],
    ['another algorithm', '$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHQ'],
    ['too little cost', '$scrypt$ln=9,r=8,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ'],
    ['more memory than may be', '$scrypt$ln=20,r=32,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ'],
    ['no salt', '$scrypt$ln=14,r=8,p=1$$c2FsdHNhbHRzYWx0c2FsdHNhbHQ'],
    ['a hash that is short', '$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0$c2Fs'],
  ])('of %s is none', (_, text) => expect(parseHash(text)).toBeUndefined());
});

describe('the users file', () => {
  it('takes comments, empty lines, CRLF and a colon in nobody’s name', () => {
    const users = parseUsers(`# fleet 7\r\n\r\n${anna.replace('\n', '\r\n')}\n`, 'u.txt');
    expect([...users.keys()]).toEqual(['anna']);
  });

  it.each([
    ['a line without a hash', 'anna\n', 'u.txt:1: no user name'],
    ['no name', ':x\n', 'u.txt:1: no user name'],
    ['a password instead of its hash', '# x\nanna:hunter2\n', 'u.txt:2: the hash is not of the form'],
    ['a control character', 'an\u0007na:x\n', 'u.txt:1: the user name holds'],
  ])('with %s is refused, with its line and without what is in it', (_, text, says) => {
    expect(() => parseUsers(text, 'u.txt')).toThrow(says);
    try {
      parseUsers(text, 'u.txt');
    } catch (error) {
      expect(String(error)).not.toContain('hunter2');
    }
  });

  it('with a user twice is refused', () =>
    expect(() => parseUsers(anna + anna, 'u.txt')).toThrow('u.txt:2: the user is'));

  it('is changed one line at a time', async () => {
    const hash = await hashPassword(Buffer.from('x'), cost);
    const text = `# fleet\n${anna}`;
    const added = withUser(text, 'bert', hash);
    expect(added).toBe(`${text}bert:${formatHash(hash)}\n`);
    expect(withUser(added, 'bert', undefined)).toBe(text);
    expect(withUser(text, 'anna', hash)).toBe(`# fleet\nanna:${formatHash(hash)}\n`);
    expect(withUser(anna, 'anna', undefined)).toBe('');
    expect(withUser('', 'nobody', undefined)).toBe('');
  });
});

describe('a user with a password', () => {
  it('is accepted with the right one, refused with any other', async () => {
    const { users } = await open(anna);
    expect(await users.authenticate(attempt({ username: 'anna', password: 'right' }), false)).toMatchObject({
      kind: 'accept',
      identity: { user: 'anna', method: 'users' },
    });
    for (const password of ['wrong', '', 'right ', 'righ', 'x'.repeat(5_000), `right${'\0'.repeat(2_000)}`]) {
      expect(await users.authenticate(attempt({ username: 'anna', password }), false)).toMatchObject({
        kind: 'refuse',
        refused: 'credentials',
      });
    }
    users.close();
  });

  it('is nobody’s where a name or a password is missing', async () => {
    const { users } = await open(anna);
    expect((await users.authenticate(attempt({ username: 'anna' }), false)).kind).toBe('not-mine');
    expect((await users.authenticate(attempt({ password: 'right' }), false)).kind).toBe('not-mine');
    expect(users.hashed).toBe(0);
    users.close();
  });

  it('costs a hash of the same cost where the user is unknown, and is left to the next', async () => {
    const { users } = await open(anna);
    expect((await users.authenticate(attempt({ username: 'nobody', password: 'x' }), false)).kind).toBe('not-mine');
    expect(users.hashed).toBe(1);
    expect((await users.authenticate(attempt({ username: '__proto__', password: 'x' }), false)).kind).toBe('not-mine');
    users.close();
  });

  it('takes as long for an unknown user as for a wrong password', async () => {
    const dear = `anna:${formatHash(await hashPassword(Buffer.from('right'), { ln: 14, r: 8, p: 1 }))}\n`;
    const { users } = await open(dear);
    const msOf = async (username: string): Promise<number> => {
      const start = process.hrtime.bigint();
      await users.authenticate(attempt({ username, password: 'wrong' }), false);
      return Number(process.hrtime.bigint() - start) / 1e6;
    };
    const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
    const known: number[] = [];
    const unknown: number[] = [];
    for (let round = 0; round < 15; round++) {
      known.push(await msOf('anna'));
      unknown.push(await msOf('nobody'));
    }
    const ratio = median(unknown) / median(known);
    expect(ratio).toBeGreaterThan(0.5);
    expect(ratio).toBeLessThan(2);
    users.close();
  });

  it('is hashed once: what was proven a moment ago is believed, also from a blocked address', async () => {
    const { users } = await open(anna);
    const right = attempt({ username: 'anna', password: 'right' });
    expect((await users.authenticate(right, true)) as object).toMatchObject({ refused: 'blocked' });
    await users.authenticate(right, false);
    expect(users.hashed).toBe(1);
    expect((await users.authenticate(right, false)).kind).toBe('accept');
    expect((await users.authenticate(right, true)).kind).toBe('accept');
    expect(users.hashed).toBe(1);
    expect(await users.authenticate(attempt({ username: 'anna', password: 'wrong' }), true)).toMatchObject({
      refused: 'blocked',
    });
    users.close();
  });

  it('does not wait for ever behind others: beyond the bound it is told to come again', async () => {
    const { users } = await open(anna);
    const answers = await Promise.all(
      Array.from({ length: 400 }, (_, index) =>
        users.authenticate(attempt({ username: 'anna', password: `wrong ${index}` }), false),
      ),
    );
    const of = (refused: string): number =>
      answers.filter((answer) => answer.kind === 'refuse' && answer.refused === refused).length;
    expect(of('unavailable')).toBeGreaterThan(200);
    expect(of('credentials') + of('unavailable')).toBe(400);
    users.close();
  });
});

describe('a users file that changes', () => {
  it('is in effect soon: new users get in, changed and removed ones do not stay', async () => {
    const { users, events, file } = await open(anna + (await lineOf('bert', 'b')));
    const identityOf = async (username: string, password: string) => {
      const answer = await users.authenticate(attempt({ username, password }), false);
      if (answer.kind !== 'accept') throw new Error(`${username}: ${answer.kind}`);
      return answer.identity;
    };
    const [asAnna, asBert] = [await identityOf('anna', 'right'), await identityOf('bert', 'b')];
    expect([users.holds(asAnna), users.holds(asBert)]).toEqual([true, true]);

    await writeFile(file, anna + (await lineOf('bert', 'other')) + (await lineOf('carl', 'c')));
    await eventually(() => events.changes.length === 1, 5_000, 'the change was not seen');
    expect([users.holds(asAnna), users.holds(asBert)]).toEqual([true, false]);
    expect((await identityOf('carl', 'c')).user).toBe('carl');
    await expect(identityOf('bert', 'b')).rejects.toThrow('refuse');

    await writeFile(file, await lineOf('carl', 'c'));
    await users.look();
    expect(users.holds(asAnna)).toBe(false);
    await expect(identityOf('anna', 'right')).rejects.toThrow('not-mine');
    users.close();
  });

  it('and is bad keeps the old users, and says so once', async () => {
    const { users, events, file } = await open(anna);
    await writeFile(file, `${anna}hunter2\n`);
    await eventually(() => events.faults.length === 1, 5_000, 'the fault was not seen');
    await users.look();
    await users.look();
    expect(events.faults).toEqual([expect.stringMatching(/old users stay: .*:2: no user name/)]);
    expect(events.faults.join()).not.toContain('hunter2');
    expect((await users.authenticate(attempt({ username: 'anna', password: 'right' }), false)).kind).toBe('accept');
    await rm(file);
    await users.look();
    expect(events.faults).toHaveLength(2);
    expect((await users.authenticate(attempt({ username: 'anna', password: 'right' }), false)).kind).toBe('accept');
    await writeFile(file, anna);
    await users.look();
    expect(events.changes).toHaveLength(1);
    users.close();
  });

  it('that is bad at the start is refused', async () => {
    await expect(open('nonsense\n')).rejects.toMatchObject({ code: 'AUTH_FILE' });
    await expect(UsersMethod.open({ file: join(directory, 'none.txt') }, heard())).rejects.toMatchObject({
      code: 'AUTH_FILE',
    });
  });
});
