/** The certificates that clients and brokers are shown: do they hold now, for long, for this name, and can others verify them? */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { rootCertificates } from 'node:tls';
import type { SluiceConfig } from '../config/config.ts';
import { errorText } from '../errors.ts';
import { fault, ok, warning, type Finding } from './finding.ts';

const SOON_DAYS = 30;
const DAY_MS = 86_400_000;

interface Pair {
  /** Path of the configuration, e.g. listeners.mqtts. */
  readonly where: string;
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
  /** Whom it is for: names are looked at for servers only. */
  readonly server: boolean;
}

/** `name`: what clients write to get here; undefined: it is not known, and the names are told. */
export async function certificateFindings(
  config: SluiceConfig,
  name: string | undefined,
  now: number,
): Promise<Finding[]> {
  const { mqtts, wss, http } = config.listeners;
  const pairs: Pair[] = [];
  for (const [listener, options] of Object.entries({ mqtts, wss }))
    if (options !== undefined)
      pairs.push({ where: `listeners.${listener}`, ...pick(options.tls), ca: options.tls.ca, server: true });
  if (http?.tls !== undefined) pairs.push({ where: 'listeners.http', ...pick(http.tls), ca: undefined, server: true });
  const { tls } = config.kafka;
  if (tls?.cert !== undefined && tls.key !== undefined)
    pairs.push({ where: 'kafka', cert: tls.cert, key: tls.key, ca: tls.ca, server: false });
  return (await Promise.all(pairs.map((pair) => judge(pair, name, now)))).flat();
}

function pick({ cert, key }: { cert: string; key: string }): { cert: string; key: string } {
  return { cert, key };
}

async function judge(pair: Pair, name: string | undefined, now: number): Promise<Finding[]> {
  const { where, cert, key, ca } = pair;
  let chain: X509Certificate[];
  try {
    chain = certificatesOf(await readFile(cert, 'utf8'));
  } catch (error) {
    return [fault('certificates', `${where}: ${cert}: ${errorText(error)}`, 'name a PEM file that this user can read')];
  }
  const [leaf] = chain;
  if (leaf === undefined)
    return [
      fault(
        'certificates',
        `${where}: ${cert} holds no certificate`,
        'give it the PEM file of the certificate, followed by those of its issuers',
      ),
    ];
  const findings = [
    ...(await keyFindings(where, leaf, key)),
    ...chain.flatMap((each, index) =>
      validity(`${where}: ${index === 0 ? 'the certificate' : `the issuer ${nameOf(each.subject)}`}`, each, now),
    ),
    ...(await chainFindings(where, chain, ca)),
    ...(pair.server ? nameFindings(where, leaf, name) : []),
  ];
  if (findings.every(({ state }) => state === 'ok'))
    findings.unshift(
      ok('certificates', `${where}: valid until ${day(Date.parse(leaf.validTo))}, ${days(leaf, now)} days`),
    );
  return findings;
}

export function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

async function keyFindings(where: string, leaf: X509Certificate, file: string): Promise<Finding[]> {
  try {
    const key = createPrivateKey(await readFile(file));
    if (!leaf.checkPrivateKey(key))
      return [
        fault(
          'certificates',
          `${where}: ${file} is not the key of this certificate`,
          'give key and certificate that were made together',
        ),
      ];
    const { mode } = await stat(file);
    if ((mode & 0o004) !== 0)
      return [
        warning(
          'certificates',
          `${where}: everybody on this machine can read the private key ${file}`,
          `chmod 600 ${file}, owned by the user that runs sluice`,
        ),
      ];
    return [];
  } catch (error) {
    return [
      fault(
        'certificates',
        `${where}: ${file}: ${errorText(error)}`,
        'name the PEM file of the private key, without a passphrase, that this user can read',
      ),
    ];
  }
}

function validity(what: string, certificate: X509Certificate, now: number): Finding[] {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (now > to)
    return [
      fault(
        'certificates',
        `${what} expired on ${day(to)}: clients refuse to connect`,
        'renew it; sluice reads the files again by itself',
      ),
    ];
  if (now < from)
    return [
      fault(
        'certificates',
        `${what} is not valid before ${day(from)}`,
        'look at the clock of this machine, and of the one that made it',
      ),
    ];
  if (days(certificate, now) < SOON_DAYS)
    return [
      warning(
        'certificates',
        `${what} expires on ${day(to)}, in ${days(certificate, now)} days`,
        'renew it; sluice reads the files again by itself',
      ),
    ];
  return [];
}

/** Clients have the root, and need everything between it and the certificate from us. */
async function chainFindings(
  where: string,
  chain: readonly X509Certificate[],
  ca: string | undefined,
): Promise<Finding[]> {
  for (const [index, certificate] of chain.slice(0, -1).entries()) {
    const issuer = chain[index + 1] as X509Certificate;
    if (isIssuedBy(certificate, issuer)) continue;
    return [
      fault(
        'certificates',
        `${where}: the chain is broken: ${nameOf(certificate.subject)} is not issued by ${nameOf(issuer.subject)}, which follows it`,
        'put the certificate first, then its issuer, then the issuer of that, into one file',
      ),
    ];
  }
  const last = chain.at(-1) as X509Certificate;
  if (chain.length === 1 && isIssuedBy(last, last))
    return [
      warning(
        'certificates',
        `${where}: it is signed by itself: every client has to be given it`,
        'sluice certs makes a development CA; in production take a certificate of your CA',
      ),
    ];
  const own =
    ca === undefined
      ? []
      : await readFile(ca, 'utf8')
          .then(certificatesOf)
          .catch(() => []);
  const known = [...own, ...rootCertificates.map((pem) => new X509Certificate(pem))];
  if (isIssuedBy(last, last) || known.some((root) => isIssuedBy(last, root))) return [];
  return [
    warning(
      'certificates',
      `${where}: it was issued by ${nameOf(last.issuer)}, which is neither a public authority nor in the file`,
      'right where your devices have that authority; else append the certificates of the issuers in between to the file',
    ),
  ];
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function nameFindings(where: string, leaf: X509Certificate, name: string | undefined): Finding[] {
  const names = (leaf.subjectAltName ?? '').replaceAll('IP Address:', '').replaceAll('DNS:', '');
  if (names === '')
    return [
      fault(
        'certificates',
        `${where}: the certificate names no host (subjectAltName): clients refuse it`,
        'have it issued with the names that clients connect to',
      ),
    ];
  if (name === undefined)
    return [ok('certificates', `${where}: for clients that connect to ${names} (--name NAME checks one)`)];
  const covered = isIP(name) === 0 ? leaf.checkHost(name) : leaf.checkIP(name);
  if (covered !== undefined) return [ok('certificates', `${where}: covers ${name}`)];
  return [
    fault(
      'certificates',
      `${where}: does not cover ${name}, but ${names}: clients that connect to it refuse it`,
      `have it issued for ${name}, too`,
    ),
  ];
}

function nameOf(distinguished: string): string {
  return /(?:^|\n)CN=(.+)/.exec(distinguished)?.[1] ?? distinguished.replaceAll('\n', ', ');
}

function days(certificate: X509Certificate, now: number): number {
  return Math.floor((Date.parse(certificate.validTo) - now) / DAY_MS);
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
