/** A certificate authority of openssl's, with a database, so that it can revoke. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const config = `
[ca]
default_ca = this
[this]
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
CN = placeholder
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
`;

export class OpensslAuthority {
  readonly #directory: string;
  #lists = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async make(directory: string): Promise<OpensslAuthority> {
    await mkdir(directory, { recursive: true });
    const authority = new OpensslAuthority(directory);
    await writeFile(path.join(directory, 'openssl.cnf'), config);
    await writeFile(path.join(directory, 'index.txt'), '');
    await writeFile(path.join(directory, 'serial'), '1000\n');
    await writeFile(path.join(directory, 'crlnumber'), '01\n');
    const name = path.basename(directory);
    await authority.#openssl(
      ...['req', '-config', 'openssl.cnf', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
      ...['-nodes', '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', `/CN=${name}`, '-extensions', 'authority'],
    );
    return authority;
  }

  /** `from` and `until` as YYYYMMDDHHMMSSZ. */
  async issue(name: string, options: { san?: string; from?: string; until?: string } = {}): Promise<void> {
    const { san, from, until } = options;
    await this.#openssl(
      ...['req', '-config', 'openssl.cnf', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
      ...['-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`],
      ...(san === undefined ? [] : ['-addext', `subjectAltName=${san}`]),
    );
    await this.#openssl(
      ...['ca', '-config', 'openssl.cnf', '-batch', '-notext', '-in', `${name}.csr`, '-out', `${name}.crt`],
      ...(from === undefined || until === undefined ? [] : ['-startdate', from, '-enddate', until]),
    );
  }

  async revoke(name: string): Promise<void> {
    await this.#openssl('ca', '-config', 'openssl.cnf', '-revoke', `${name}.crt`);
  }

  /** The path of a new list of what is revoked now. */
  async revocationList(validity?: { from: string; until: string }): Promise<string> {
    const file = `${this.#lists++}.crl`;
    const dates = validity === undefined ? [] : ['-crl_lastupdate', validity.from, '-crl_nextupdate', validity.until];
    await this.#openssl('ca', '-config', 'openssl.cnf', '-gencrl', '-out', file, ...dates);
    return path.join(this.#directory, file);
  }

  certificate(name = 'ca'): string {
    return path.join(this.#directory, `${name}.crt`);
  }

  key(name: string): string {
    return path.join(this.#directory, `${name}.key`);
  }

  async pair(name: string): Promise<{ cert: Buffer; key: Buffer }> {
    return { cert: await readFile(this.certificate(name)), key: await readFile(this.key(name)) };
  }

  async #openssl(...args: string[]): Promise<void> {
    await run('openssl', args, { cwd: this.#directory });
  }
}
