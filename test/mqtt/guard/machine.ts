import { Guard, type GuardLimits, type Violation } from '../../../src/mqtt/guard/guard.ts';

export const LIMITS: GuardLimits = {
  connectMaxBytes: 65_536,
  packetMaxBytes: 262_144,
  topicAliasMaximum: 32,
  topicLevelsMax: 100,
};

export interface Judged {
  readonly valid: Buffer;
  readonly pieces: readonly Buffer[];
  readonly violation: Violation | undefined;
}

/** What the guard makes of bytes that come in these chunks. */
export function judge(chunks: readonly Buffer[], limits = LIMITS): Judged {
  const guard = new Guard(limits);
  const pieces: Buffer[] = [];
  let violation: Violation | undefined;
  for (const chunk of chunks) violation ??= guard.take(chunk, (valid) => pieces.push(valid));
  return { valid: Buffer.concat(pieces), pieces, violation };
}

export function split(bytes: Buffer, size: number): Buffer[] {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}
