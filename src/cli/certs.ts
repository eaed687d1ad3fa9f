import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { access, chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { errorText, SluiceError } from '../errors.ts';
import { signCertificate, type CertificateRequest, type CertificateUse } from './x509.ts';

export interface CertificateOptions {
  /** Where the files go; made if it is not there. */
  directory: string;
  /** Names and addresses of the server besides localhost, 127.0.0.1 and ::1. */
  hosts?: string[];
  /** A certificate for each of these client ids, which becomes its common name. */
  clients?: string[];
  /** How long the server's and clients' certificates are valid; 365 by default. The CA lives ten years or as long. */
  days?: number;
  /** Replaces certificates that are there. The CA is replaced by nothing but removing its two files. */
  force?: boolean;
  now?: Date;
}

export interface CertificateFile {
  use: CertificateUse;
  commonName: string;
  certificate: string;
  key: string;
  /** `kept`: it was there before and was left alone. */
  outcome: 'made' | 'kept';
  validTo: Date;
}

/** What is in the directory now: the CA first, then the server, then the clients in the order asked for. */
export type CertificateReport = CertificateFile[];

const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'];
const CA_NAME = 'sluice development CA';
const CA_DAYS = 3_650;
const DAY_MS = 86_400_000;
/** Clocks of devices differ; a certificate that is valid from now on would be refused by those that are behind. */
const BACKDATE_MS = 3_600_000;
/** X.520's upper bound for a common name. */
const COMMON_NAME_MAX_CHARACTERS = 64;

type Authority = CertificateRequest['issuer'];

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

function refuse(message: string, hint: string, cause?: unknown): SluiceError {
  return new SluiceError('CONFIG_INVALID', message, { hint, cause });
}

function checkOptions({ hosts = [], clients = [], days = 1 }: CertificateOptions): void {
  if (!Number.isInteger(days) || days < 1) throw refuse(`days is ${days}`, 'Give a whole number of days from 1 on.');
  for (const host of hosts) {
    const isName = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i.test(host);
    if (isIP(host) === 0 && !isName) {
      throw refuse(`the host '${host}' is neither a DNS name nor an IP address`, 'Leave out scheme, port and path.');
    }
  }
  for (const client of clients) {
    if (client === '' || client.length > COMMON_NAME_MAX_CHARACTERS) {
      throw refuse(
        `the client id '${client}' does not fit into a certificate`,
        `A common name has 1 to ${COMMON_NAME_MAX_CHARACTERS} characters.`,
      );
    }
  }
}

/** The two files of one certificate; both, or none, are there. */
async function isPairThere(certificate: string, key: string): Promise<boolean> {
  const [hasCertificate, hasKey] = [await exists(certificate), await exists(key)];
  if (hasCertificate !== hasKey) {
    const [there, missing] = hasCertificate ? [certificate, key] : [key, certificate];
    throw refuse(`${there} is there, but ${missing} is not`, 'Bring the missing file back, or remove the other.');
  }
  return hasCertificate;
}

async function writePair(certificate: string, key: string, pem: { certificate: string; key: string }): Promise<void> {
  await rm(key, { force: true });
  await writeFile(key, pem.key, { mode: 0o600, flag: 'wx' });
  // The mode above is narrowed further by the umask, never widened; this makes it exact.
  await chmod(key, 0o600);
  await writeFile(certificate, pem.certificate);
}

function makePair(request: Omit<CertificateRequest, 'publicKey' | 'issuer'>, issuer?: Authority) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const authority = issuer ?? { commonName: request.commonName, publicKey, privateKey };
  return {
    authority,
    certificate: signCertificate({ ...request, publicKey, issuer: authority }),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

async function readAuthority(certificate: string, key: string): Promise<Authority> {
  const hint = 'Move these two files away to make a new CA, or name another directory.';
  try {
    const x509 = new X509Certificate(await readFile(certificate));
    const privateKey = createPrivateKey(await readFile(key));
    const commonName = /^CN=(.+)$/.exec(x509.subject)?.[1];
    if (commonName?.startsWith(CA_NAME) !== true || !x509.ca) {
      throw refuse(`${certificate} is not a CA that 'sluice certs' made`, hint);
    }
    if (!x509.checkPrivateKey(privateKey)) throw refuse(`${key} does not belong to ${certificate}`, hint);
    return { commonName, privateKey, publicKey: createPublicKey(privateKey) };
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw refuse(`${certificate} and ${key} cannot be read as a CA: ${errorText(error)}`, hint, error);
  }
}

/**
 * Makes a development CA, a server certificate and client certificates as PEM files: ca.crt, server.crt and
 * client-ID.crt, each with its .key that only the owner may read. What is there is kept; the CA is used again.
 *
 * @throws SluiceError CONFIG_INVALID for options or files that it cannot work with
 */
export async function makeCertificates(options: CertificateOptions): Promise<CertificateReport> {
  checkOptions(options);
  const { directory, hosts = [], clients = [], days = 365, force = false, now = new Date() } = options;
  await mkdir(directory, { recursive: true });
  const notBefore = new Date(now.getTime() - BACKDATE_MS);
  const until = (dayCount: number): Date => new Date(now.getTime() + dayCount * DAY_MS);
  const files = (stem: string) => [path.join(directory, `${stem}.crt`), path.join(directory, `${stem}.key`)] as const;
  const validTo = async (file: string): Promise<Date> => new Date(new X509Certificate(await readFile(file)).validTo);

  const leaves = [
    { use: 'server' as const, commonName: 'sluice', stem: 'server', hosts: [...new Set([...LOCAL_HOSTS, ...hosts])] },
    ...[...new Set(clients)].map((client) => ({
      use: 'client' as const,
      commonName: client,
      stem: `client-${encodeURIComponent(client)}`,
      hosts: [],
    })),
  ];

  const [caCertificate, caKey] = files('ca');
  const hadAuthority = await isPairThere(caCertificate, caKey);
  const there = new Set<string>();
  for (const { stem } of leaves) if (await isPairThere(...files(stem))) there.add(stem);
  if (!hadAuthority && there.size > 0 && !force) {
    const names = [...there].map((stem) => `${stem}.crt`).join(', ');
    throw refuse(`${names} in ${directory} came from a CA that is not there`, 'Use --force to replace them.');
  }

  let authority: Authority;
  if (hadAuthority) authority = await readAuthority(caCertificate, caKey);
  else {
    // Browsers and key stores tell CAs apart by name, so two of them must not share one.
    const commonName = `${CA_NAME} ${randomBytes(4).toString('hex')}`;
    const notAfter = until(Math.max(CA_DAYS, days));
    const made = makePair({ use: 'ca', commonName, hosts: [], notBefore, notAfter });
    await writePair(caCertificate, caKey, made);
    authority = made.authority;
  }
  const report: CertificateReport = [
    {
      use: 'ca',
      commonName: authority.commonName,
      certificate: caCertificate,
      key: caKey,
      outcome: hadAuthority ? 'kept' : 'made',
      validTo: await validTo(caCertificate),
    },
  ];

  for (const { stem, ...subject } of leaves) {
    const [certificate, key] = files(stem);
    const keep = there.has(stem) && !force;
    if (!keep) await writePair(certificate, key, makePair({ ...subject, notBefore, notAfter: until(days) }, authority));
    const outcome = keep ? 'kept' : 'made';
    const { use, commonName } = subject;
    report.push({ use, commonName, certificate, key, outcome, validTo: await validTo(certificate) });
  }
  return report;
}
