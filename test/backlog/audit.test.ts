import { describe, expect, it } from 'vitest';
import { makePayload } from '../faults/payload.mjs';
import { Audit } from './audit.ts';

const backlog = { devices: 2, messages: 3, payloadBytes: 60 };
const all = [0, 1, 2].flatMap((sequence) => [`device-0:${sequence}`, `device-1:${sequence}`]);

function audit(messages: readonly string[], change: (value: Buffer, at: number) => Buffer = (value) => value) {
  const found = new Audit(backlog);
  messages.forEach((message, at) => {
    const [device = '', sequence] = message.split(':');
    found.add(change(Buffer.from(makePayload(device, Number(sequence), 60)), at));
  });
  return found.result();
}

describe('the audit of a drained backlog', () => {
  it('finds nothing wrong where every message is there once and in order', () => {
    expect(audit(all)).toEqual({ records: 6, missing: 0, misplaced: 0, corrupt: 0 });
  });

  it('finds what is missing: at the end, in the middle, of a whole device', () => {
    expect(audit(all.slice(0, -1))).toMatchObject({ missing: 1 });
    expect(audit(all.filter((each) => each !== 'device-0:1'))).toMatchObject({ missing: 1, misplaced: 1 });
    expect(audit(all.filter((each) => !each.startsWith('device-1')))).toMatchObject({ missing: 3 });
  });

  it('finds what is repeated and what is out of order', () => {
    expect(audit([...all, 'device-0:2'])).toMatchObject({ records: 7, misplaced: 1 });
    expect(audit(['device-0:1', 'device-0:0', ...all.slice(1)]).misplaced).toBeGreaterThan(0);
  });

  it('finds what nobody sent, and what was changed on the way', () => {
    expect(audit([...all, 'device-2:0', 'device-0:3'])).toMatchObject({ corrupt: 2, missing: 0 });
    const flipped = audit(all, (value, at) => (at === 2 ? Buffer.from(value.map((byte) => byte ^ 1)) : value));
    expect(flipped).toMatchObject({ corrupt: 1 });
  });
});
