/** The certificate of a TLS listener, read from files and read again when they change. */
import { constants } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import tls from 'node:tls';
import { errorText, SluiceError } from '../../errors.ts';
import type { ListenerName } from './listening.ts';

export interface TlsOptions {
  /** PEM files. */
  readonly cert: string;
  readonly key: string;
  /** Authorities that sign client certificates. */
  readonly ca?: string | undefined;
  /** Revocation lists of those authorities. */
  readonly crl?: string | undefined;
  readonly clientCertificate: 'none' | 'optional' | 'required';
  readonly minVersion?: '1.2' | '1.3';
  /** How often the files are looked at. Default 2 s. */
  readonly pollMs?: number;
}

/** What a server is made with. */
export interface SecureOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
  readonly crl?: Buffer;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly secureOptions: number;
}

/** @throws SluiceError LISTENER_FAILED when a file cannot be read, is no PEM, or the key is not that of the certificate */
export async function loadCertificate(name: ListenerName, options: TlsOptions): Promise<SecureOptions> {
  const read = async (field: 'cert' | 'key' | 'ca' | 'crl', file: string): Promise<Buffer> => {
    try {
      return await readFile(file);
    } catch (cause) {
      throw new SluiceError('LISTENER_FAILED', `listener ${name} cannot read ${field} ${file}: ${errorText(cause)}`, {
        cause,
        hint: `check listeners.${name}.tls.${field}; \`sluice certs\` makes certificates for development`,
      });
    }
  };
  const [cert, key] = await Promise.all([read('cert', options.cert), read('key', options.key)]);
  const ca = options.ca === undefined ? undefined : await read('ca', options.ca);
  const crl = options.crl === undefined ? undefined : await read('crl', options.crl);
  const secure: SecureOptions = {
    cert,
    key,
    ...(ca === undefined ? {} : { ca }),
    ...(crl === undefined ? {} : { crl }),
    minVersion: options.minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    requestCert: options.clientCertificate !== 'none',
    // What does not hold is refused after the handshake, by watchHandshakes(), where the reason can be told.
    rejectUnauthorized: false,
    secureOptions:
      // A handshake costs us more than the client, and counts once per connection.
      constants.SSL_OP_NO_RENEGOTIATION |
      // A resumed session would bring the certificate of the first one back unchecked, or the right of a client without one.
      (options.clientCertificate === 'none' ? 0 : constants.SSL_OP_NO_TICKET),
  };
  try {
    tls.createSecureContext(secure);
  } catch (cause) {
    throw new SluiceError(
      'LISTENER_FAILED',
      `listener ${name} cannot use ${options.cert} with ${options.key}: ${errorText(cause)}`,
      { cause, hint: 'both must be PEM, and the key that of the certificate' },
    );
  }
  return secure;
}

/** Looks at the files from time to time. Polling, since a mounted secret changes by a swapped link, which watchers miss. */
export class CertificateWatch {
  readonly #files: readonly string[];
  readonly #changed: () => Promise<unknown>;
  readonly #timer: NodeJS.Timeout;
  #seen: string | undefined;
  #looking = false;

  constructor(options: TlsOptions, changed: () => Promise<unknown>) {
    this.#files = [options.cert, options.key, options.ca, options.crl].filter((file) => file !== undefined);
    this.#changed = changed;
    this.#timer = setInterval(() => void this.#look(), options.pollMs ?? 2_000);
    this.#timer.unref();
    void this.#look();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const marks = await Promise.all(this.#files.map(mark));
    const now = marks.join('\n');
    const before = this.#seen;
    this.#seen = now;
    if (before !== undefined && before !== now) await this.#changed();
    this.#looking = false;
  }
}

async function mark(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return errorText(error);
  }
}
