import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../../src/config/nearest.ts';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['a', '', 1],
    ['port', 'port', 0],
    ['prot', 'port', 1],
    ['host', 'hosts', 1],
    ['kitten', 'sitting', 3],
  ])('%j to %j is %d', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe('nearest', () => {
  const known = ['port', 'host', 'path', 'origins', 'clientCertificate'];

  it.each([
    ['prot', 'port'],
    ['HOST', 'host'],
    ['origin', 'origins'],
    ['clientCert', undefined],
    ['client-certificate', 'clientCertificate'],
    ['zzzz', undefined],
    ['', undefined],
    ['x'.repeat(10_000), undefined],
  ])('of %j is %j', (word, found) => expect(nearest(word, known)).toBe(found));
});
