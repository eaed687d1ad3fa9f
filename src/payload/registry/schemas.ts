/**
 * The schemas that routes encode with, each asked for when a route first names it, and then kept.
 *
 *     wanted ──the registry answers──> ready ──every refresh interval, version: latest──> asked again, the old one stays
 *        └──no answer, no such subject, a schema that does not compile──> wanted, again after a wait
 *
 * What needs a schema that is not ready waits in the buffer like records of a topic that cannot be written; nothing becomes a dead
 * letter because a registry is away, or does not have a schema yet.
 */
import { errorText, isSluiceError, SluiceError } from '../../errors.ts';
import { avroEncoder } from './avro.ts';
import type { ResolvedSchema, RegistryClient, SchemaType } from './client.ts';
import type { EncoderOptions, SchemaEncoder } from './encoder.ts';
import { jsonSchemaEncoder } from './json-schema.ts';
import { protobufEncoder } from './protobuf.ts';

export interface WantedSchema extends EncoderOptions {
  readonly type: SchemaType;
  readonly subject: string;
  readonly version: number | 'latest';
  /** The schema itself: that version of the subject is taken which it is. It is registered where the operator has asked for that. */
  readonly text?: string | undefined;
}

export interface SchemasOptions {
  readonly refreshMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  readonly random: () => number;
  /** What is not registered is. */
  readonly autoRegister: boolean;
}

export interface SchemaEvents {
  /** For the first time, or with a newer version, or again after it was said to be unavailable. */
  schemaReady(subject: string, encoder: SchemaEncoder): void;
  /** Said once until it is ready again. `waits`: there is none to go on with. */
  schemaUnavailable(subject: string, error: SluiceError, waits: boolean): void;
}

type Client = Pick<RegistryClient, 'schema' | 'register' | 'versionOf'>;

/** One schema as a route holds it. */
export class SchemaInUse {
  readonly wanted: WantedSchema;
  /** undefined: it cannot be encoded with yet. */
  encoder: SchemaEncoder | undefined;
  error: SluiceError | undefined;
  failures = 0;
  timer: NodeJS.Timeout | undefined;
  /** No route needs it any more. */
  forgotten = false;

  constructor(wanted: WantedSchema) {
    this.wanted = wanted;
  }

  get ready(): boolean {
    return this.encoder !== undefined;
  }

  get what(): string {
    return `schema ${this.wanted.subject} of the registry`;
  }
}

/** Without a registry: what is given as a file can be encoded with, under the id 0, where it needs no other schema. */
export function offlineSchema(wanted: WantedSchema): SchemaInUse {
  const schema = new SchemaInUse(wanted);
  if (wanted.text === undefined) return schema;
  const { type, subject, text } = wanted;
  try {
    schema.encoder = compile({ type, subject, text, id: 0, version: 0, references: [], imports: [] }, wanted);
  } catch {
    // It may refer to what only the registry has.
  }
  return schema;
}

export class Schemas {
  readonly #client: Client;
  readonly #options: SchemasOptions;
  readonly #events: SchemaEvents;
  readonly #entries = new Map<string, SchemaInUse>();
  #running = false;

  constructor(client: Client, options: SchemasOptions, events: SchemaEvents) {
    this.#client = client;
    this.#options = options;
    this.#events = events;
  }

  /** Asks for what was named before, and from now on at once. */
  start(): void {
    this.#running = true;
    for (const entry of this.#entries.values()) void this.#ask(entry);
  }

  /** The same object for the same wish. */
  use(wanted: WantedSchema): SchemaInUse {
    const key = keyOf(wanted);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = new SchemaInUse(wanted);
      this.#entries.set(key, entry);
      if (this.#running) void this.#ask(entry);
    }
    return entry;
  }

  /** Routes were replaced: what the new ones do not use is not asked for any more. */
  keepOnly(used: ReadonlySet<SchemaInUse>): void {
    for (const [key, entry] of this.#entries) {
      if (used.has(entry)) continue;
      entry.forgotten = true;
      clearTimeout(entry.timer);
      this.#entries.delete(key);
    }
  }

  /** Those that cannot be encoded with, or not be looked at again, and why. */
  unavailable(): { readonly subject: string; readonly reason: string; readonly waits: boolean }[] {
    return [...this.#entries.values()].flatMap(({ wanted: { subject }, error, ready }) =>
      error === undefined ? [] : [{ subject, reason: error.message, waits: !ready }],
    );
  }

  stop(): void {
    this.#running = false;
    for (const { timer } of this.#entries.values()) clearTimeout(timer);
  }

  async #ask(entry: SchemaInUse): Promise<void> {
    const { wanted } = entry;
    const isOver = (): boolean => !this.#running || entry.forgotten;
    try {
      const encoder = await this.#fetch(wanted, entry.encoder);
      if (isOver()) return;
      const news = encoder !== entry.encoder || entry.error !== undefined;
      entry.encoder = encoder;
      entry.error = undefined;
      entry.failures = 0;
      if (news) this.#events.schemaReady(wanted.subject, encoder);
      if (wanted.version === 'latest' && wanted.text === undefined) this.#again(entry, this.#options.refreshMs);
    } catch (cause) {
      if (isOver()) return;
      const error = isSluiceError(cause)
        ? cause
        : new SluiceError('SCHEMA_UNAVAILABLE', `subject ${wanted.subject}: ${errorText(cause)}`, { cause });
      const said = entry.error !== undefined;
      entry.error = error;
      if (!said) this.#events.schemaUnavailable(wanted.subject, error, !entry.ready);
      this.#again(entry, this.#backoffMs(entry.failures++));
    }
  }

  async #fetch(wanted: WantedSchema, current: SchemaEncoder | undefined): Promise<SchemaEncoder> {
    const { type, subject, text } = wanted;
    const schema = await this.#client.schema(
      subject,
      text === undefined ? wanted.version : await this.#versionOf(subject, type, text),
    );
    if (current?.schemaId === schema.id && current.version === schema.version) return current;
    if (schema.type !== type) throw new Error(`it is a schema of type ${schema.type}, and the route wants ${type}`);
    return compile(schema, wanted);
  }

  /** A registry keeps what it has: registering again changes nothing. */
  async #versionOf(subject: string, type: SchemaType, text: string): Promise<number> {
    if (this.#options.autoRegister) {
      await this.#client.register(subject, type, text);
      return this.#client.versionOf(subject, type, text);
    }
    try {
      return await this.#client.versionOf(subject, type, text);
    } catch (error) {
      if (!isSluiceError(error) || !/ status 404/.test(error.message)) throw error;
      const said = `${error.message}; it is not registered under ${subject}, and schemaRegistry.autoRegister is off`;
      throw new SluiceError('SCHEMA_UNAVAILABLE', said, { cause: error });
    }
  }

  #again(entry: SchemaInUse, afterMs: number): void {
    entry.timer = setTimeout(() => void this.#ask(entry), afterMs);
    entry.timer.unref();
  }

  #backoffMs(failures: number): number {
    const { retryMinMs, retryMaxMs, random } = this.#options;
    return Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(failures, 20)) * (0.5 + random() / 2);
  }
}

function keyOf({ type, subject, version, from, ignoreUnknown, message, text }: WantedSchema): string {
  return JSON.stringify([type, subject, version, from, ignoreUnknown, message ?? null, text ?? null]);
}

/** @throws Error where the schema is none, or lacks the message */
function compile(schema: ResolvedSchema, wanted: WantedSchema): SchemaEncoder {
  switch (wanted.type) {
    case 'AVRO':
      return avroEncoder(schema, wanted);
    case 'PROTOBUF':
      return protobufEncoder(schema, wanted);
    case 'JSON':
      return jsonSchemaEncoder(schema);
  }
}
