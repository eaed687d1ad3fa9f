/** Reading DER (X.690) as far as certificates and revocation lists need it. What it reads was checked by OpenSSL, or is an operator's. */

export interface DerValue {
  readonly tag: number;
  /** Without tag and length. */
  readonly value: Buffer;
  /** With them. */
  readonly whole: Buffer;
}

/** @throws Error where the bytes end early or a length is not definite */
export function readDer(bytes: Buffer, at = 0): DerValue {
  const tag = bytes[at];
  let length = bytes[at + 1];
  let start = at + 2;
  if (tag === undefined || length === undefined) throw new Error('DER ends early');
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 4 || start + count > bytes.length) throw new Error('DER has a length that cannot be');
    length = bytes.readUIntBE(start, count);
    start += count;
  }
  if (start + length > bytes.length) throw new Error('DER ends early');
  return { tag, value: bytes.subarray(start, start + length), whole: bytes.subarray(at, start + length) };
}

/** The values in a constructed one, in order. */
export function readAll({ value }: Pick<DerValue, 'value'>): DerValue[] {
  const found: DerValue[] = [];
  for (let at = 0; at < value.length;) {
    const next = readDer(value, at);
    found.push(next);
    at += next.whole.length;
  }
  return found;
}
