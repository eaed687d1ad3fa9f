import { describe, expect, it } from 'vitest';
import { AuthChain, authCounters, type ChainOptions } from '../../src/auth/chain.ts';
import { ClientIdRule } from '../../src/auth/client-id-rule.ts';
import { FailureTable } from '../../src/auth/failures.ts';
import type { AuthMethodName, Identity } from '../../src/auth/identity.ts';
import { notMine, refuse, type Answer, type AuthMethod } from '../../src/auth/method.ts';
import { attempt } from './attempt.ts';

const accept = (user: string, method: AuthMethodName = 'users'): Answer => ({
  kind: 'accept',
  identity: { user, method, attributes: new Map(), expiresAt: undefined },
});

function method(name: AuthMethodName, answer: (blocked: boolean) => Answer | Promise<Answer>, holds = () => true) {
  const asked: boolean[] = [];
  const made: AuthMethod = {
    name,
    authenticate: (_attempt, blocked) => {
      asked.push(blocked);
      return answer(blocked);
    },
    holds,
    close: () => undefined,
  };
  return { ...made, asked };
}

const chain = (options: Partial<ChainOptions>) =>
  new AuthChain({
    methods: [],
    allowAnonymous: false,
    ignoreCredentials: false,
    clientId: undefined,
    failures: new FailureTable({ perAddress: 3, windowMs: 60_000 }),
    timeoutMs: 5_000,
    counters: authCounters(),
    ...options,
  });
const withPassword = attempt({ username: 'anna', password: 'x' });

describe('the chain', () => {
  it('asks in order until one accepts or refuses', async () => {
    const [first, second, third] = [
      method('jwt', () => notMine),
      method('users', () => accept('anna')),
      method('http', () => accept('other')),
    ];
    const verdict = await chain({ methods: [first, second, third] }).authenticate(withPassword);
    expect(verdict).toMatchObject({ identity: { user: 'anna' } });
    expect([first, second, third].map(({ asked }) => asked.length)).toEqual([1, 1, 0]);
    const refusing = method('jwt', () => refuse('credentials', 'no'));
    expect(await chain({ methods: [refusing, second], allowAnonymous: true }).authenticate(withPassword)).toEqual({
      kind: 'refuse',
      refused: 'credentials',
      reason: 'no',
    });
    expect(second.asked).toHaveLength(1);
  });

  it('shows enhanced authentication only to who offers it, and never takes another proof instead', async () => {
    const token = { ...method('jwt', () => accept('anna', 'jwt')), enhanced: 'JWT' };
    const users = method('users', () => accept('bert'));
    const asking = (name: string) =>
      attempt({ username: 'bert', password: 'right', enhanced: { method: name, data: Buffer.from('x') } });
    const all = chain({ methods: [users, token], allowAnonymous: true });
    expect(await all.authenticate(asking('JWT'))).toMatchObject({ identity: { user: 'anna' } });
    for (const name of ['jwt', '', 'SCRAM-SHA-256', '__proto__'])
      expect(await all.authenticate(asking(name))).toMatchObject({ refused: 'method' });
    const without = chain({ methods: [users], allowAnonymous: true, ignoreCredentials: true });
    expect(await without.authenticate(asking('JWT'))).toMatchObject({ refused: 'method' });
    expect(users.asked).toEqual([]);
  });

  it('takes for anonymous only who brings nothing, and only where that is allowed', async () => {
    const methods = [method('users', () => notMine)];
    expect(await chain({ methods }).authenticate(attempt())).toMatchObject({ refused: 'not-authorized' });
    const open = chain({ methods, allowAnonymous: true });
    expect(await open.authenticate(attempt())).toMatchObject({ identity: { user: '', method: 'none' } });
    expect(await open.authenticate(withPassword)).toMatchObject({ refused: 'credentials' });
    expect(await open.authenticate(attempt({ username: 'anna' }))).toMatchObject({ refused: 'credentials' });
    const nothing = chain({ allowAnonymous: true, ignoreCredentials: true });
    expect(await nothing.authenticate(withPassword)).toMatchObject({ identity: { user: '' } });
  });

  it('holds client ids to who is connected', async () => {
    const methods = [method('users', () => accept('anna'))];
    const held = chain({ methods, clientId: new ClientIdRule('{user}-*') });
    expect(await held.authenticate({ ...withPassword, clientId: 'anna-1' })).toMatchObject({ identity: {} });
    expect(await held.authenticate({ ...withPassword, clientId: 'bert-1' })).toMatchObject({ refused: 'client-id' });
    const guests = chain({ methods: [], allowAnonymous: true, clientId: new ClientIdRule('{user}-*') });
    expect(await guests.authenticate(attempt({ clientId: '-1' }))).toMatchObject({ refused: 'client-id' });
  });

  it('blocks an address that fails too often, and lets others in', async () => {
    const users = method('users', (blocked) => (blocked ? refuse('blocked', 'b') : refuse('credentials', 'no')));
    const counters = authCounters();
    const limited = chain({ methods: [users], counters });
    for (let index = 0; index < 5; index++) await limited.authenticate(withPassword);
    expect(users.asked).toEqual([false, false, false, true, true]);
    await limited.authenticate({ ...withPassword, remoteAddress: '192.0.2.9' });
    expect(users.asked.at(-1)).toBe(false);
    expect(counters).toMatchObject({ refused: 4, blocked: 2 });
  });

  it('does not count an outage as a failure of the client', async () => {
    const down = method('http', () => refuse('unavailable', 'down'));
    const limited = chain({ methods: [down] });
    for (let index = 0; index < 10; index++) await limited.authenticate(withPassword);
    expect(down.asked.every((blocked) => !blocked)).toBe(true);
  });

  it('decides in time, whatever hangs', async () => {
    const hanging = method('http', () => new Promise<Answer>(() => undefined));
    const verdict = await chain({ methods: [hanging], timeoutMs: 30 }).authenticate(withPassword);
    expect(verdict).toMatchObject({ refused: 'unavailable' });
  });

  it.each(['', 'a\nb', 'a\u0000b', 'x'.repeat(2_000), '\ud800'])(
    'lets nobody in under a name that cannot be',
    async (name) => {
      const verdict = await chain({ methods: [method('users', () => accept(name))] }).authenticate(withPassword);
      expect(verdict).toMatchObject({ refused: 'not-authorized' });
    },
  );

  it('lets nobody in by what was taken away while it was looked at', async () => {
    const users = method(
      'users',
      () => accept('anna'),
      () => false,
    );
    expect(await chain({ methods: [users] }).authenticate(withPassword)).toMatchObject({ refused: 'unavailable' });
  });

  it('says who may stay after a change', () => {
    const identity = { user: 'anna', method: 'users', attributes: new Map(), expiresAt: undefined } satisfies Identity;
    const none = { ...identity, user: '', method: 'none' } satisfies Identity;
    const users = method('users', () => notMine);
    expect(chain({ methods: [users] }).mayStay(identity, 'd1')).toBe(true);
    expect(chain({ methods: [] }).mayStay(identity, 'd1')).toBe(false);
    expect(
      chain({
        methods: [
          method(
            'users',
            () => notMine,
            () => false,
          ),
        ],
      }).mayStay(identity, 'd1'),
    ).toBe(false);
    expect(chain({ methods: [users], clientId: new ClientIdRule('{user}') }).mayStay(identity, 'd1')).toBe(false);
    expect(chain({ methods: [users] }).mayStay(none, 'd1')).toBe(false);
    expect(chain({ methods: [users], allowAnonymous: true }).mayStay(none, 'd1')).toBe(true);
  });
});
