import { createHash, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';

/**
 * X.509 version 3 certificates (RFC 5280) with EC P-256 keys, as far as a development CA needs them. Only the DER
 * encoding is done here; keys and signatures are node:crypto's.
 */
export type CertificateUse = 'ca' | 'server' | 'client';

export interface CertificateRequest {
  use: CertificateUse;
  commonName: string;
  publicKey: KeyObject;
  issuer: { commonName: string; publicKey: KeyObject; privateKey: KeyObject };
  /** DNS names and IP addresses for the subject alternative name. */
  hosts: string[];
  notBefore: Date;
  notAfter: Date;
}

const OID = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
};

/** Tag, length, value: the shape of everything in DER. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  if (value.length < 0x80) return Buffer.concat([Buffer.of(tag, value.length), value]);
  const length = [];
  for (let rest = value.length; rest > 0; rest >>>= 8) length.unshift(rest & 0xff);
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length, ...length), value]);
}

const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const set = (...parts: Buffer[]): Buffer => der(0x31, ...parts);
const octetString = (value: Buffer): Buffer => der(0x04, value);
const utf8String = (text: string): Buffer => der(0x0c, Buffer.from(text));
const bitString = (value: Buffer, unusedBits = 0): Buffer => der(0x03, Buffer.of(unusedBits), value);
const TRUE = der(0x01, Buffer.of(0xff));

function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

/** RFC 5280, 4.1.2.5: UTCTime through the year 2049, GeneralizedTime from 2050. */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

const name = (commonName: string): Buffer =>
  sequence(set(sequence(objectIdentifier(OID.commonName), utf8String(commonName))));

/** A positive number of 127 bits that nobody can predict. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return der(0x02, bytes);
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // The URL parser writes every form of an IPv6 address in one way, in hexadecimal groups with at most one `::`.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...new Array<string>(zeros).fill('0'), ...groups(tail ?? '')];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** RFC 5280, 4.2.1.6: dNSName is [2], iPAddress is [7]. */
const generalName = (host: string): Buffer =>
  isIP(host) === 0 ? der(0x82, Buffer.from(host, 'ascii')) : der(0x87, addressBytes(host));

const publicKeyInfo = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });

/** Any value that is the same for the same key will do (RFC 5280, 4.2.1.2). */
const keyIdentifier = (key: KeyObject): Buffer => createHash('sha1').update(publicKeyInfo(key)).digest();

const extension = (oid: string, critical: boolean, value: Buffer): Buffer =>
  sequence(objectIdentifier(oid), ...(critical ? [TRUE] : []), octetString(value));

function extensions({ use, publicKey, issuer, hosts }: CertificateRequest): Buffer {
  const list = [
    // A CA that signs end entities only: pathLenConstraint 0.
    extension(OID.basicConstraints, true, use === 'ca' ? sequence(TRUE, der(0x02, Buffer.of(0))) : sequence()),
    // Bits from the left: keyCertSign (5) and cRLSign (6), or digitalSignature (0).
    extension(
      OID.keyUsage,
      true,
      use === 'ca' ? bitString(Buffer.of(0b0000_0110), 1) : bitString(Buffer.of(0b1000_0000), 7),
    ),
    extension(OID.subjectKeyIdentifier, false, octetString(keyIdentifier(publicKey))),
    extension(OID.authorityKeyIdentifier, false, sequence(der(0x80, keyIdentifier(issuer.publicKey)))),
  ];
  if (use !== 'ca') {
    const purpose = objectIdentifier(use === 'server' ? OID.serverAuth : OID.clientAuth);
    list.push(extension(OID.extendedKeyUsage, false, sequence(purpose)));
  }
  if (hosts.length > 0) list.push(extension(OID.subjectAltName, false, sequence(...hosts.map(generalName))));
  return der(0xa3, sequence(...list));
}

/** The certificate as PEM, signed with the issuer's P-256 key. */
export function signCertificate(request: CertificateRequest): string {
  const algorithm = sequence(objectIdentifier(OID.ecdsaWithSha256));
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    serialNumber(),
    algorithm,
    name(request.issuer.commonName),
    sequence(time(request.notBefore), time(request.notAfter)),
    name(request.commonName),
    publicKeyInfo(request.publicKey),
    extensions(request),
  );
  const signature = sign('sha256', toBeSigned, request.issuer.privateKey);
  const base64 = sequence(toBeSigned, algorithm, bitString(signature)).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
