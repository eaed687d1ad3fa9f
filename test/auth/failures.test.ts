import { describe, expect, it } from 'vitest';
import { FailureTable, networkOf } from '../../src/auth/failures.ts';

function table(perAddress: number, windowMs: number) {
  const clock = { now: 0 };
  return { clock, failures: new FailureTable({ perAddress, windowMs }, () => clock.now) };
}

describe('failed attempts', () => {
  it('block an address after so many, and it alone', () => {
    const { failures } = table(3, 60_000);
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(failures.blocked('192.0.2.1')).toBe(false);
      failures.failed('192.0.2.1');
    }
    expect(failures.blocked('192.0.2.1')).toBe(true);
    expect(failures.blocked('192.0.2.2')).toBe(false);
  });

  it('are forgiven evenly over the window', () => {
    const { clock, failures } = table(3, 60_000);
    for (let attempt = 0; attempt < 3; attempt++) failures.failed('a');
    clock.now = 19_999;
    expect(failures.blocked('a')).toBe(true);
    clock.now = 20_001;
    expect(failures.blocked('a')).toBe(false);
    failures.failed('a');
    expect(failures.blocked('a')).toBe(true);
    clock.now = 10_000_000;
    for (let attempt = 0; attempt < 2; attempt++) failures.failed('a');
    expect(failures.blocked('a')).toBe(false);
    failures.failed('a');
    expect(failures.blocked('a')).toBe(true);
  });

  it('of any number block nobody where the limit is 0', () => {
    const { failures } = table(0, 60_000);
    for (let attempt = 0; attempt < 1_000; attempt++) failures.failed('a');
    expect(failures.blocked('a')).toBe(false);
    expect(failures.addresses).toBe(0);
  });

  it('take bounded memory, whatever number of addresses fails', () => {
    const { failures } = table(1, 60_000);
    for (let index = 0; index < 60_000; index++)
      failures.failed(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`);
    expect(failures.addresses).toBe(50_000);
    expect(failures.blocked('10.0.0.0')).toBe(false);
    expect(failures.blocked('10.0.234.95')).toBe(true);
  });
});

describe('the network of an address', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ])('%s is %s', (address, network) => expect(networkOf(address)).toBe(network));
});
