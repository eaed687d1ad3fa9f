/**
 * The schemas that routes encode with, each asked for at the start and then kept.
 *
 *     wanted ──the registry answers──> ready ──every refresh interval, version: latest──> asked again, the old one stays
 *        └──no answer, no such subject, a schema that does not compile──> wanted, again after a wait
 *
 * What needs a schema that is not ready waits in the buffer like records of a topic that cannot be written; nothing becomes a dead
 * letter because a registry is away.
 */
import { errorText, isSluiceError, SluiceError } from '../../errors.ts';
import { avroEncoder } from './avro.ts';
import type { ResolvedSchema, RegistryClient, SchemaType } from './client.ts';
import type { EncoderOptions, SchemaEncoder } from './encoder.ts';
import { protobufEncoder } from './protobuf.ts';

export interface WantedSchema extends EncoderOptions {
  readonly type: Exclude<SchemaType, 'JSON'>;
  readonly subject: string;
  readonly version: number | 'latest';
  /** Registered under the subject before it is asked for: where the operator has asked for auto-registration. */
  readonly register?: string | undefined;
}

export interface SchemasOptions {
  readonly refreshMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  readonly random: () => number;
}

export interface SchemaEvents {
  /** For the first time, or with a newer version, or again after it was said to be unavailable. */
  schemaReady(subject: string, encoder: SchemaEncoder): void;
  /** Said once until it is ready again. `waits`: there is none to go on with. */
  schemaUnavailable(subject: string, error: SluiceError, waits: boolean): void;
}

/** One schema as a route holds it. */
export interface SchemaInUse {
  readonly wanted: WantedSchema;
  /** undefined: it cannot be encoded with yet. */
  readonly encoder: SchemaEncoder | undefined;
  readonly error: SluiceError | undefined;
}

interface Entry extends SchemaInUse {
  encoder: SchemaEncoder | undefined;
  error: SluiceError | undefined;
  failures: number;
  timer: NodeJS.Timeout | undefined;
}

export class Schemas {
  readonly #client: Pick<RegistryClient, 'schema' | 'register'>;
  readonly #options: SchemasOptions;
  readonly #events: SchemaEvents;
  readonly #entries = new Map<string, Entry>();
  #stopped = false;

  constructor(client: Pick<RegistryClient, 'schema' | 'register'>, options: SchemasOptions, events: SchemaEvents) {
    this.#client = client;
    this.#options = options;
    this.#events = events;
  }

  /** The same object for the same wish; asked for at once. */
  use(wanted: WantedSchema): SchemaInUse {
    const key = JSON.stringify([
      wanted.type,
      wanted.subject,
      wanted.version,
      wanted.from,
      wanted.ignoreUnknown,
      wanted.message ?? null,
      wanted.register ?? null,
    ]);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { wanted, encoder: undefined, error: undefined, failures: 0, timer: undefined };
      this.#entries.set(key, entry);
      void this.#ask(entry);
    }
    return entry;
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#entries.values()) clearTimeout(timer);
  }

  async #ask(entry: Entry): Promise<void> {
    const { wanted } = entry;
    try {
      const encoder = await this.#fetch(wanted, entry.encoder);
      if (this.#stopped) return;
      const news = encoder !== entry.encoder || entry.error !== undefined;
      entry.encoder = encoder;
      entry.error = undefined;
      entry.failures = 0;
      if (news) this.#events.schemaReady(wanted.subject, encoder);
      if (wanted.version === 'latest') this.#again(entry, this.#options.refreshMs);
    } catch (cause) {
      if (this.#stopped) return;
      const error = isSluiceError(cause)
        ? cause
        : new SluiceError('SCHEMA_UNAVAILABLE', `subject ${wanted.subject}: ${errorText(cause)}`, { cause });
      const said = entry.error !== undefined;
      entry.error = error;
      if (!said) this.#events.schemaUnavailable(wanted.subject, error, entry.encoder === undefined);
      this.#again(entry, this.#backoffMs(entry.failures++));
    }
  }

  async #fetch(wanted: WantedSchema, current: SchemaEncoder | undefined): Promise<SchemaEncoder> {
    const { type, subject, version, register } = wanted;
    // Registered once: the registry keeps it.
    if (register !== undefined && current === undefined) await this.#client.register(subject, type, register);
    const schema = await this.#client.schema(subject, version);
    if (current?.schemaId === schema.id && current.version === schema.version) return current;
    if (schema.type !== type) throw new Error(`it is a schema of type ${schema.type}, and the route wants ${type}`);
    return compile(schema, wanted);
  }

  #again(entry: Entry, afterMs: number): void {
    entry.timer = setTimeout(() => void this.#ask(entry), afterMs);
    entry.timer.unref();
  }

  #backoffMs(failures: number): number {
    const { retryMinMs, retryMaxMs, random } = this.#options;
    return Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(failures, 20)) * (0.5 + random() / 2);
  }
}

/** @throws Error where the schema is none, or lacks the message */
function compile(schema: ResolvedSchema, wanted: WantedSchema): SchemaEncoder {
  return wanted.type === 'AVRO' ? avroEncoder(schema, wanted) : protobufEncoder(schema, wanted);
}
