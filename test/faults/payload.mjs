// @ts-check
/** What a test device publishes: enough to tell who sent it, which one it is, and whether a byte changed on the way. */
import { createHash } from 'node:crypto';

/**
 * `<device>:<sequence>:<filler>:<first 8 hex digits of the SHA-256 of what stands before>`
 * @param {string} device
 * @param {number} sequence
 * @param {number} bytes about this long
 */
export function makePayload(device, sequence, bytes = 100) {
  const head = `${device}:${sequence}:`;
  const body = head + 'x'.repeat(Math.max(0, bytes - head.length - 9));
  return `${body}:${digest(body)}`;
}

/**
 * @param {Buffer | null} payload
 * @returns {{ device: string, sequence: number } | undefined} undefined: not what a device sent
 */
export function readPayload(payload) {
  const text = payload?.toString('latin1') ?? '';
  const end = text.lastIndexOf(':');
  const body = text.slice(0, Math.max(0, end));
  if (end < 0 || digest(body) !== text.slice(end + 1)) return undefined;
  const [device = '', sequence = ''] = body.split(':');
  return { device, sequence: Number(sequence) };
}

/**
 * Of a payload that was cut short on purpose.
 * @param {Buffer | null} payload
 * @returns {{ device: string, sequence: number } | undefined}
 */
export function headOf(payload) {
  const [device = '', sequence = ''] = (payload?.toString('latin1') ?? '').split(':', 2);
  return /^\d+$/.test(sequence) ? { device, sequence: Number(sequence) } : undefined;
}

/** @param {string} body */
function digest(body) {
  return createHash('sha256').update(body).digest('hex').slice(0, 8);
}
