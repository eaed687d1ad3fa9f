import { describe, expect, it } from 'vitest';
import { ClientIdRule } from '../../src/auth/client-id-rule.ts';
import { anonymous, type Identity } from '../../src/auth/identity.ts';

const identity = (user: string, attributes: Record<string, string> = {}): Identity => ({
  user,
  method: 'users',
  attributes: new Map(Object.entries(attributes)),
  expiresAt: undefined,
});

describe('a rule for client ids', () => {
  it.each([
    ['{user}', 'anna', 'anna', true],
    ['{user}', 'anna', 'anna2', false],
    ['{user}', 'anna', 'Anna', false],
    ['{user}', 'anna', '', false],
    ['{user}-*', 'anna', 'anna-1', true],
    ['{user}-*', 'anna', 'anna-', true],
    ['{user}-*', 'anna', 'anna', false],
    ['{user}-*', 'anna', 'bert-1', false],
    ['{user}-*', 'ann', 'anna-1', false],
    ['*-{user}', 'anna', 'x-anna', true],
    ['*-{user}', 'anna', 'x-anna-y', false],
    ['a*b*c', 'x', 'aXbYc', true],
    ['a*b*c', 'x', 'abc', true],
    ['a*b*c', 'x', 'acb', false],
    ['ab*ba', 'x', 'aba', false],
    ['*', 'x', 'anything', true],
    ['site1/{cert.cn}', 'x', 'site1/c7', true],
    ['site1/{cert.cn}', 'x', 'site2/c7', false],
    ['{jwt.device}', 'x', 'x', false],
  ])('%s: user %s, client id %s: %s', (template, user, clientId, allowed) => {
    expect(new ClientIdRule(template).allows(identity(user, { 'cert.cn': 'c7' }), clientId)).toBe(allowed);
  });

  it('takes what is proven for what it is: no value widens it', () => {
    expect(new ClientIdRule('{user}-*').allows(identity('*'), 'anna-1')).toBe(false);
    expect(new ClientIdRule('{user}').allows(identity('*'), 'anna')).toBe(false);
    expect(new ClientIdRule('{user}').allows(identity('{cert.cn}', { 'cert.cn': 'anna' }), 'anna')).toBe(false);
  });

  it('lets nobody in by something that is not proven', () => {
    expect(new ClientIdRule('{user}-*').allows(anonymous, '-x')).toBe(false);
    expect(new ClientIdRule('{cert.cn}*').allows(identity('anna'), 'x')).toBe(false);
    expect(new ClientIdRule('guest-*').allows(anonymous, 'guest-1')).toBe(true);
  });

  it.each(['', '{clientId}', '{user', 'user}', '{}', '{cert.}', '{jwt.a b}'])('%s is no rule', (template) => {
    expect(() => new ClientIdRule(template)).toThrow();
  });
});
