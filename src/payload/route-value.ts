/**
 * What one route makes of a payload:
 *
 *     bytes ──decompress──> bytes ──parse──> JSON ──schema──> ──split──> elements ──fields──> each: raw | json | envelope | event | encoded
 *
 * Steps that a route does not ask for cost nothing. `when` and the schema see the payload as the device meant it, before it
 * is split; templates and fields see the element.
 */
import { errorText } from '../errors.ts';
import type { Message } from '../message.ts';
import { parsePayloadPath, valueAt, type PayloadPath } from '../routes/payload-path.ts';
import { isProblem, problem, type TextProblem } from '../routes/problem.ts';
import type { Route } from '../routes/route.ts';
import { parseTemplate, type Template } from '../routes/template.ts';
import type { TopicMatch } from '../routes/topic-match.ts';
import { cloudEvent, type CloudEventForm } from './cloud-events.ts';
import { DECOMPRESSED_MAX_BYTES, zstdAvailable } from './decompress.ts';
import { isRegistryForm, type EnvelopePayload, type ValueDefinition } from './definition.ts';
import { envelope } from './envelope.ts';
import { isFault, valueFault, type ValueFault } from './fault.ts';
import { Fields } from './fields.ts';
import { RouteSchema } from './registry/route-schema.ts';
import type { SchemaInUse, WantedSchema } from './registry/schemas.ts';
import { compileSchema, type Schema } from './schema.ts';
import type { PayloadView } from './view.ts';

/** Records that one message may make: each is counted until Kafka has it. */
export const SPLIT_MAX_ELEMENTS = 10_000;

/** What becomes one record. */
export interface Element {
  /** Place in the batch; undefined: the payload is none. */
  readonly index: number | undefined;
  readonly bytes: Buffer;
  /** What templates see: parsed, where something asked for it. */
  readonly json: { readonly value: unknown } | undefined;
  /** What `bytes` are, after fields were changed. */
  readonly content: { readonly value: unknown } | undefined;
}

export interface EncodedValue {
  readonly value: Buffer | string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

const noHeaders: EncodedValue['headers'] = [];

export interface ValueContext {
  /** @throws Error */
  readonly read: (file: string) => string;
  readonly report: (field: readonly (string | number)[], value: string, problem: TextProblem) => void;
  /** Schemas of the registry. Without: see offlineSchema(). */
  readonly schemas?: ((wanted: WantedSchema) => SchemaInUse) | undefined;
}

export class RouteValue {
  /** The payload is the value, byte for byte, and nobody looks into it. */
  readonly plain: boolean;
  readonly #route: Route;
  readonly #definition: ValueDefinition;
  readonly #maxBytes: number;
  readonly #schema: Schema | undefined;
  readonly #list: PayloadPath | 'whole' | undefined;
  readonly #fields: Fields | undefined;
  readonly #event: CloudEventForm | undefined;
  readonly #envelope: EnvelopePayload;
  readonly #registered: RouteSchema | undefined;
  /** A payload that is not JSON is of no use. */
  readonly #needsJson: boolean;
  /** Whether it is JSON matters. */
  readonly #asksForJson: boolean;

  constructor(route: Route, definition: ValueDefinition, context: ValueContext) {
    const { value = 'raw', decompress, fields } = definition;
    const { report, read } = context;
    const levelNames = (route.filter ?? route.regex)?.names ?? [];
    if (decompress === 'zstd' && !zstdAvailable) {
      report(['decompress'], 'zstd', problem(`is not in Node ${process.versions.node}`, 'run Node 22.15 or newer'));
    }
    this.#route = route;
    this.#definition = definition;
    this.#maxBytes = definition.decompressMaxBytes ?? DECOMPRESSED_MAX_BYTES;
    this.#schema = definition.schema === undefined ? undefined : readSchema(definition.schema, context);
    this.#list = readSplit(definition.split, context);
    this.#fields = fields === undefined ? undefined : new Fields(fields, { levelNames, read, report });
    this.#event = value === 'cloudevents' ? readEvent(definition, levelNames, context) : undefined;
    this.#envelope = definition.envelope?.payload ?? 'auto';
    this.#registered = isRegistryForm(value) ? new RouteSchema(route, value, definition, context) : undefined;
    const isBinary = this.#registered?.fromBinary ?? false;
    if (isBinary) refuseJsonSteps(route, definition, context);
    if (fields !== undefined && value === 'raw') {
      report(['fields'], 'fields', problem('needs a value that is JSON', 'add value: json'));
    }
    this.#needsJson =
      value === 'json' ||
      (this.#registered !== undefined && !isBinary) ||
      this.#schema !== undefined ||
      this.#list !== undefined ||
      this.#fields !== undefined ||
      route.needsPayload ||
      (value === 'envelope' && this.#envelope === 'json');
    this.#asksForJson = this.#needsJson || (value !== 'raw' && !isBinary) || route.readsPayload;
    this.plain = value === 'raw' && decompress === undefined && !this.#asksForJson;
  }

  /** Whether the route takes this message; a fault where it cannot be told. */
  applies(message: Message, match: TopicMatch, view: PayloadView): boolean | ValueFault {
    const { qos, onlyRetained, when } = this.#route;
    if (qos !== undefined && !qos.has(message.qos)) return false;
    if (onlyRetained && !message.retain) return false;
    if (when === undefined) return true;
    let payload: unknown;
    if (when.usesPayload) {
      const body = this.#unpacked(view);
      if (isFault(body)) return body;
      const json = body.json();
      if (isFault(json)) return json;
      payload = json.value;
    }
    try {
      return when.holds(message, match.levels, payload);
    } catch (error) {
      const said = error instanceof Error && 'summary' in error ? String(error.summary) : errorText(error);
      return valueFault('CONDITION_FAILED', `when: ${said}`);
    }
  }

  /** What becomes records; a fault where the payload is of no use to the route. */
  elements(message: Message, match: TopicMatch, view: PayloadView): readonly Element[] | ValueFault {
    const body = this.#unpacked(view);
    if (isFault(body)) return body;
    if (!this.#asksForJson) return [{ index: undefined, bytes: body.bytes, json: undefined, content: undefined }];
    const json = body.json();
    if (isFault(json)) {
      return this.#needsJson ? json : [{ index: undefined, bytes: body.bytes, json: undefined, content: undefined }];
    }
    const invalid = this.#schema?.fault(json.value);
    if (invalid !== undefined) return invalid;
    if (this.#list === undefined) {
      if (this.#fields === undefined) return [{ index: undefined, bytes: body.bytes, json, content: json }];
      return this.#one(json.value, undefined, message, match);
    }
    const list = this.#list === 'whole' ? json.value : valueAt(json.value, this.#list);
    if (!Array.isArray(list)) return valueFault('PAYLOAD_INVALID', 'what is to be split is no JSON list');
    if (list.length > SPLIT_MAX_ELEMENTS) {
      return valueFault('PAYLOAD_INVALID', `the list has ${list.length} elements, more than ${SPLIT_MAX_ELEMENTS}`);
    }
    const elements: Element[] = [];
    for (const [index, value] of list.entries()) {
      const made = this.#one(value, index, message, match);
      if (isFault(made)) return valueFault(made.code, `element ${index}: ${made.reason}`);
      elements.push(...made);
    }
    return elements;
  }

  /** Why no record, or not all, can be made of the message; undefined: all can. */
  refusal(message: Message, match: TopicMatch, view: PayloadView): string | undefined {
    const elements = this.elements(message, match, view);
    if (isFault(elements)) return elements.reason;
    for (const element of elements) {
      const payload = element.json?.value;
      const parts = [
        match.topicFor(message, payload),
        match.keyFor(message, payload),
        match.partitionFor(message, payload),
        match.timestampFor(message, payload),
      ];
      for (const part of parts) if (typeof part === 'object' && part !== null) return part.fault;
      // With a schema that is not there yet it cannot be told: the forward side tells.
      const encoder = this.#registered?.of(parts[0] as string).encoder;
      const encoded = encoder?.encode(element.bytes, element.content);
      if (isFault(encoded)) return encoded.reason;
    }
    return undefined;
  }

  /** The schema that records of this topic wait for; undefined: they need not. */
  waitsFor(topic: string): SchemaInUse | undefined {
    const schema = this.#registered?.of(topic);
    return schema?.ready === false ? schema : undefined;
  }

  /** Schemas of the registry that it has named so far. */
  get schemas(): Iterable<SchemaInUse> {
    return this.#registered?.used ?? [];
  }

  /** The record's value, of a record for `topic`. `id` names the message. @throws Error where waitsFor() says so */
  encode(
    element: Element,
    message: Message,
    match: TopicMatch,
    id: string,
    timeMs: number,
    topic: string,
  ): EncodedValue | ValueFault {
    const { bytes, json, index } = element;
    if (this.#registered !== undefined) {
      const { encoder, wanted } = this.#registered.of(topic);
      if (encoder === undefined) throw new Error(`the schema of subject ${wanted.subject} is not here yet`);
      const value = encoder.encode(bytes, element.content);
      return isFault(value) ? value : { value, headers: noHeaders };
    }
    const body = { bytes, isJson: json !== undefined };
    if (this.#event !== undefined) {
      const eventId = index === undefined ? id : `${id}:${index}`;
      return cloudEvent(this.#event, message, match.levels, json?.value, body, eventId, timeMs);
    }
    if (this.#definition.value !== 'envelope') return { value: bytes, headers: noHeaders };
    const value = envelope(message, body, this.#envelope);
    return typeof value === 'string' ? { value, headers: noHeaders } : value;
  }

  #one(
    value: unknown,
    index: number | undefined,
    message: Message,
    match: TopicMatch,
  ): readonly Element[] | ValueFault {
    const made = this.#fields === undefined ? value : this.#fields.apply(value, message, match.levels);
    if (isFault(made)) return made;
    return [{ index, bytes: Buffer.from(JSON.stringify(made)), json: { value }, content: { value: made } }];
  }

  #unpacked(view: PayloadView): PayloadView | ValueFault {
    const { decompress } = this.#definition;
    return decompress === undefined ? view : view.decompressed(decompress, this.#maxBytes);
  }
}

/** What is not JSON has no fields, no list, and nothing for a JSON Schema or a template to look at. */
function refuseJsonSteps(route: Route, { schema, split, fields }: ValueDefinition, { report }: ValueContext): void {
  const jsonOnly = [
    ['schema', schema !== undefined],
    ['split', split !== undefined && split !== false],
    ['fields', fields !== undefined],
    ['to', route.needsPayload],
  ] as const;
  for (const [field, used] of jsonOnly) {
    if (used)
      report([field], field, problem('looks into JSON, and registry.from is binary', 'leave one of the two out'));
  }
}

function readSchema(file: string, { read, report }: ValueContext): Schema | undefined {
  let text: string;
  try {
    text = read(file);
  } catch (error) {
    report(['schema'], file, problem(`cannot be read: ${errorText(error)}`, 'name a file with a JSON Schema'));
    return undefined;
  }
  const schema = compileSchema(text);
  if (!isProblem(schema)) return schema;
  report(['schema'], file, schema);
  return undefined;
}

function readSplit(split: boolean | string | undefined, { report }: ValueContext): PayloadPath | 'whole' | undefined {
  if (split === undefined || split === false) return undefined;
  if (split === true) return 'whole';
  const path = parsePayloadPath(split);
  if (!isProblem(path)) return path;
  report(['split'], split, path);
  return undefined;
}

function readEvent(
  { cloudEvents }: ValueDefinition,
  levelNames: readonly string[],
  { report }: ValueContext,
): CloudEventForm | undefined {
  const template = (field: 'source' | 'type' | 'subject', standard: string): Template | undefined => {
    const text = cloudEvents?.[field] ?? standard;
    const parsed = parseTemplate(text, levelNames);
    if (!isProblem(parsed)) return parsed;
    report(['cloudEvents', field], text, parsed);
    return undefined;
  };
  const source = template('source', '/clients/{clientId}');
  const type = template('type', 'mqtt.publish');
  const subject = template('subject', '{topic}');
  if (source === undefined || type === undefined || subject === undefined) return undefined;
  return { mode: cloudEvents?.mode ?? 'binary', source, type, subject };
}
