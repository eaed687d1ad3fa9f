/** What node:crypto does not tell of certificates and revocation lists (RFC 5280), or only as text that has to be taken apart. */
import { readAll, readDer, type DerValue } from './der.ts';

export interface AlternativeNames {
  readonly dns: readonly string[];
  readonly uri: readonly string[];
  readonly email: readonly string[];
}

/** Serial number and issuer: by both a revocation list knows a certificate. */
export function certificateKey(raw: Buffer): string {
  const { serial, issuer } = certificateFields(raw);
  return keyOf(issuer, serial);
}

function keyOf(issuer: DerValue, serial: DerValue): string {
  return `${issuer.whole.toString('base64')} ${serial.value.toString('hex')}`;
}

function certificateFields(raw: Buffer) {
  const tbs = readAll(readDer(readDer(raw).value));
  // version [0] is left out by certificates of version 1.
  const [serial, , issuer, ...rest] = tbs[0]?.tag === 0xa0 ? tbs.slice(1) : tbs;
  if (serial === undefined || issuer === undefined) throw new Error('not a certificate');
  return { serial, issuer, extensions: rest.find(({ tag }) => tag === 0xa3) };
}

/** 2.5.29.17 */
const SUBJECT_ALT_NAME = '551d11';

/** The subject alternative names of a certificate (RFC 5280 §4.2.1.6), in its order. */
export function alternativeNames(raw: Buffer): AlternativeNames {
  const { extensions } = certificateFields(raw);
  const none: AlternativeNames = { dns: [], uri: [], email: [] };
  if (extensions === undefined) return none;
  const found = readAll(readDer(extensions.value)).map(readAll);
  const extension = found.find(([oid]) => oid?.value.toString('hex') === SUBJECT_ALT_NAME);
  const octets = extension?.at(-1);
  if (octets === undefined) return none;
  const names = readAll(readDer(octets.value));
  const ofTag = (wanted: number): string[] =>
    names.filter(({ tag }) => tag === wanted).map(({ value }) => value.toString('latin1'));
  return { email: ofTag(0x81), dns: ofTag(0x82), uri: ofTag(0x86) };
}

/** The certificates that revocation lists name (RFC 5280 §5.1), by certificateKey(). The lists may be PEM, several in a file, or one in DER. */
export function revokedCertificates(lists: Buffer): ReadonlySet<string> {
  const revoked = new Set<string>();
  for (const der of derOf(lists)) {
    const fields = readAll(readDer(readDer(der).value));
    // version INTEGER is optional; then the signature algorithm, the issuer, one or two times, and the entries.
    const [, issuer, ...rest] = fields[0]?.tag === 0x02 ? fields.slice(1) : fields;
    if (issuer === undefined) throw new Error('not a revocation list');
    const entries = rest.find(({ tag }) => tag === 0x30);
    if (entries === undefined) continue;
    for (const entry of readAll(entries)) {
      const [serial] = readAll(entry);
      if (serial !== undefined) revoked.add(keyOf(issuer, serial));
    }
  }
  return revoked;
}

function derOf(bytes: Buffer): Buffer[] {
  const text = bytes.toString('latin1');
  const blocks = [...text.matchAll(/-----BEGIN X509 CRL-----([^-]*)-----END X509 CRL-----/g)];
  if (blocks.length === 0 && bytes[0] === 0x30) return [bytes];
  return blocks.map(([, base64 = '']) => Buffer.from(base64, 'base64'));
}
