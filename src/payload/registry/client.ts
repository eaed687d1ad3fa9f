/**
 * A Schema Registry, as far as a producer needs it: Confluent's HTTP API, which Apicurio, Karapace and Redpanda speak too.
 * https://docs.confluent.io/platform/current/schema-registry/develop/api.html
 */
import { errorText, SluiceError } from '../../errors.ts';

export type SchemaType = 'AVRO' | 'PROTOBUF' | 'JSON';

export interface SchemaReference {
  /** As the schema that refers to it writes it: an Avro full name, an import path, a $ref. */
  readonly name: string;
  readonly subject: string;
  readonly version: number;
}

export interface RegisteredSchema {
  readonly subject: string;
  readonly id: number;
  readonly version: number;
  readonly type: SchemaType;
  readonly text: string;
  readonly references: readonly SchemaReference[];
}

/** A schema with all that it refers to, each before what refers to it. */
export interface ResolvedSchema extends RegisteredSchema {
  readonly imports: readonly { readonly name: string; readonly text: string }[];
}

export interface RegistryClientOptions {
  /** e.g. http://localhost:8081 */
  readonly url: string;
  /** Basic authentication; asked for at every request, since a password may change. @throws Error */
  readonly credentials?: (() => { readonly username: string; readonly password: string }) | undefined;
  readonly requestTimeoutMs: number;
}

const RESPONSE_MAX_BYTES = 4 * 2 ** 20;
const IMPORTS_MAX = 100;
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';

export class RegistryClient {
  readonly #options: RegistryClientOptions;
  readonly #base: string;

  constructor(options: RegistryClientOptions) {
    this.#options = options;
    this.#base = options.url.replace(/\/+$/, '');
  }

  /** @throws SluiceError SCHEMA_UNAVAILABLE: no registry, no such subject, or not what one answers. */
  async schema(subject: string, version: number | 'latest'): Promise<ResolvedSchema> {
    const schema = await this.#registered(subject, version);
    const imports = new Map<string, string>();
    await this.#collect(schema.references, imports);
    return { ...schema, imports: [...imports].map(([name, text]) => ({ name, text })) };
  }

  /** Registers a schema, or finds it registered. @throws SluiceError SCHEMA_UNAVAILABLE, incompatible ones included */
  async register(subject: string, type: SchemaType, text: string): Promise<number> {
    const { id } = await this.#request(`/subjects/${encodeURIComponent(subject)}/versions`, bodyOf(type, text));
    if (typeof id !== 'number') throw this.#unavailable(`no id for subject ${subject}`);
    return id;
  }

  /**
   * The version of the subject that is this very schema.
   * @throws SluiceError SCHEMA_UNAVAILABLE, also where there is none
   */
  async versionOf(subject: string, type: SchemaType, text: string): Promise<number> {
    const { version } = await this.#request(`/subjects/${encodeURIComponent(subject)}`, bodyOf(type, text));
    if (typeof version !== 'number') throw this.#unavailable(`no version for subject ${subject}`);
    return version;
  }

  /** Depth first; what refers to itself by a detour is found under its name and not followed again. */
  async #collect(references: readonly SchemaReference[], into: Map<string, string>): Promise<void> {
    for (const { name, subject, version } of references) {
      if (into.has(name)) continue;
      if (into.size >= IMPORTS_MAX) throw this.#unavailable(`more than ${IMPORTS_MAX} references`);
      // Its place, so that a circle ends; its own references come before it.
      into.set(name, '');
      const schema = await this.#registered(subject, version);
      await this.#collect(schema.references, into);
      into.delete(name);
      into.set(name, schema.text);
    }
  }

  async #registered(subject: string, version: number | 'latest'): Promise<RegisteredSchema> {
    const answer = await this.#request(`/subjects/${encodeURIComponent(subject)}/versions/${version}`);
    const { id, version: number, schema: text, schemaType: type = 'AVRO', references = [] } = answer;
    if (
      typeof id !== 'number' ||
      typeof number !== 'number' ||
      typeof text !== 'string' ||
      (type !== 'AVRO' && type !== 'PROTOBUF' && type !== 'JSON') ||
      !Array.isArray(references)
    ) {
      throw this.#unavailable(`what it answers for subject ${subject} is no schema`);
    }
    return { subject, id, version: number, type, text, references: references as SchemaReference[] };
  }

  async #request(path: string, body?: string): Promise<Record<string, unknown>> {
    const { credentials, requestTimeoutMs } = this.#options;
    const headers: Record<string, string> = { accept: `${MEDIA_TYPE}, application/json` };
    if (body !== undefined) headers['content-type'] = MEDIA_TYPE;
    let status: number;
    let text: string;
    try {
      if (credentials !== undefined) {
        const { username, password } = credentials();
        headers['authorization'] = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      }
      const response = await fetch(this.#base + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers,
        redirect: 'error',
        signal: AbortSignal.timeout(requestTimeoutMs),
        ...(body === undefined ? {} : { body }),
      });
      status = response.status;
      text = await bounded(response);
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      throw this.#unavailable(errorText(cause), error);
    }
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch {
      throw this.#unavailable(`status ${status}, and no JSON`);
    }
    if (typeof answer !== 'object' || answer === null) throw this.#unavailable(`status ${status}, and no object`);
    const { message } = answer as { message?: unknown };
    if (status !== 200) {
      throw this.#unavailable(`status ${status}${typeof message === 'string' ? `: ${message.slice(0, 300)}` : ''}`);
    }
    return answer as Record<string, unknown>;
  }

  #unavailable(what: string, cause?: unknown): SluiceError {
    return new SluiceError('SCHEMA_UNAVAILABLE', `the schema registry at ${this.#shownUrl()} says: ${what}`, { cause });
  }

  /** Without a password that somebody wrote into the URL. */
  #shownUrl(): string {
    return this.#base.replace(/\/\/[^/@]*@/, '//');
  }
}

function bodyOf(type: SchemaType, text: string): string {
  return JSON.stringify(type === 'AVRO' ? { schema: text } : { schema: text, schemaType: type });
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    const part = chunk as Uint8Array;
    bytes += part.length;
    if (bytes > RESPONSE_MAX_BYTES) throw new Error(`an answer of more than ${RESPONSE_MAX_BYTES} bytes`);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}
