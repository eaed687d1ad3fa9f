/**
 * JSON to Avro binary, and Avro binary checked. Numbers, strings and objects are taken as devices write them; the branch of
 * a union is found by the kind of the value, or named as in Avro's own JSON encoding ({"long": 5}) where several would do
 * (Avro 1.12, "JSON Encoding"). Bytes are strings of the code points U+0000 to U+00FF, as there.
 *
 * Every choice looks at one level only, so that no payload takes more than linear time.
 */
import avro from 'avsc';
import { errorText } from '../../errors.ts';
import { PayloadFault, shown } from './payload-fault.ts';
import type { ResolvedSchema } from './client.ts';
import { schemaPrefix } from './confluent.ts';
import { encoding, type EncoderOptions, type SchemaEncoder } from './encoder.ts';

type Convert = (value: unknown, path: string, depth: number) => unknown;

/** Deeper than any schema of a device, shallower than the stack. */
const DEPTH_MAX = 100;
const INT_MAX = 2 ** 31;
/** One below the last safe integer: avsc takes no more. */
const LONG_MAX = Number.MAX_SAFE_INTEGER - 1;

/** @throws Error where the schema is none */
export function avroEncoder(schema: ResolvedSchema, options: EncoderOptions): SchemaEncoder {
  const registry: Record<string, avro.Type> = {};
  for (const { text } of schema.imports) avro.Type.forSchema(parseSchema(text), { registry, wrapUnions: true });
  const type = avro.Type.forSchema(parseSchema(schema.text), { registry, wrapUnions: true });
  const convert = new Converters(options.ignoreUnknown).of(type);
  const encode = encoding(
    schemaPrefix(schema.id),
    options.from,
    (value) => fromJson(type, convert, value),
    (payload) => checkBinary(type, payload),
  );
  return { schemaId: schema.id, version: schema.version, encode };
}

function fromJson(type: avro.Type, convert: Convert, json: unknown): Buffer {
  const value = convert(json, '', 0);
  try {
    return type.toBuffer(value);
  } catch (error) {
    throw new PayloadFault(errorText(error));
  }
}

function checkBinary(type: avro.Type, payload: Buffer): void {
  try {
    type.fromBuffer(payload);
  } catch (error) {
    throw new PayloadFault(`it is not Avro binary of this schema: ${errorText(error)}`);
  }
}

function parseSchema(text: string): avro.Schema {
  try {
    return JSON.parse(text) as avro.Schema;
  } catch {
    // A primitive may be registered by its bare name.
    return text;
  }
}

/** What avsc tells of a type beyond its declarations. */
interface Inside {
  readonly typeName: string;
  readonly name?: string;
  readonly branchName?: string;
  readonly fields: readonly { readonly name: string; readonly type: avro.Type; defaultValue(): unknown }[];
  readonly itemsType: avro.Type;
  readonly valuesType: avro.Type;
  readonly types: readonly avro.Type[];
  readonly symbols: readonly string[];
  readonly size: number;
}

class Converters {
  readonly #ignoreUnknown: boolean;
  /** A type may hold itself. */
  readonly #made = new Map<avro.Type, Convert>();

  constructor(ignoreUnknown: boolean) {
    this.#ignoreUnknown = ignoreUnknown;
  }

  of(type: avro.Type): Convert {
    const made = this.#made.get(type);
    if (made !== undefined) return made;
    let convert: Convert = () => undefined;
    this.#made.set(type, (value, path, depth) => {
      if (depth > DEPTH_MAX) throw new PayloadFault(`${path}: deeper than ${DEPTH_MAX} levels`);
      return convert(value, path, depth);
    });
    convert = this.#make(type as unknown as Inside);
    return this.#made.get(type)!;
  }

  #make(type: Inside): Convert {
    switch (type.typeName) {
      case 'record':
      case 'error':
        return this.#record(type);
      case 'array':
        return this.#array(type);
      case 'map':
        return this.#map(type);
      case 'union:wrapped':
      case 'union:unwrapped':
        return this.#union(type);
      default: {
        const fits = shallow(type);
        const binary = type.typeName === 'bytes' || type.typeName === 'fixed';
        return (value, path) => {
          if (!fits(value)) throw mismatch(path, type, value);
          return binary ? Buffer.from(value as string, 'latin1') : value;
        };
      }
    }
  }

  #record(type: Inside): Convert {
    const fields = type.fields.map((field) => ({
      name: field.name,
      required: field.defaultValue() === undefined,
      convert: this.of(field.type),
    }));
    const names = new Set(fields.map(({ name }) => name));
    return (value, path, depth) => {
      if (!isObject(value)) throw mismatch(path, type, value);
      const record = Object.create(null) as Record<string, unknown>;
      for (const { name, required, convert } of fields) {
        if (Object.hasOwn(value, name)) record[name] = convert(value[name], join(path, name), depth + 1);
        else if (required) throw new PayloadFault(`${join(path, name)}: is missing`);
      }
      if (!this.#ignoreUnknown) {
        for (const name of Object.keys(value)) {
          if (!names.has(name)) throw new PayloadFault(`${join(path, name)}: is not in the schema`);
        }
      }
      return record;
    };
  }

  #array(type: Inside): Convert {
    const convert = this.of(type.itemsType);
    return (value, path, depth) => {
      if (!Array.isArray(value)) throw mismatch(path, type, value);
      return value.map((item, index) => convert(item, `${path}[${index}]`, depth + 1));
    };
  }

  #map(type: Inside): Convert {
    const convert = this.of(type.valuesType);
    return (value, path, depth) => {
      if (!isObject(value)) throw mismatch(path, type, value);
      const map = Object.create(null) as Record<string, unknown>;
      for (const [key, item] of Object.entries(value)) map[key] = convert(item, join(path, key), depth + 1);
      return map;
    };
  }

  #union(type: Inside): Convert {
    const branches = type.types.map((branch) => {
      const inside = branch as unknown as Inside;
      return { name: inside.branchName ?? inside.typeName, fits: shallow(inside), convert: this.of(branch) };
    });
    const objects = type.types.filter((branch) => takesObjects(branch as unknown as Inside)).length;
    return (value, path, depth) => {
      const named = isObject(value) ? namedBranch(value) : undefined;
      const explicit = named === undefined ? undefined : branches.find(({ name }) => name === named);
      if (explicit !== undefined && isObject(value) && named !== undefined)
        return { [named]: explicit.convert(value[named], path, depth + 1) };
      // Which of several records it is to be is not guessed.
      const branch = isObject(value) && objects > 1 ? undefined : branches.find(({ fits }) => fits(value));
      if (branch === undefined) {
        const names = branches.map(({ name }) => name).join(', ');
        throw new PayloadFault(`${path || 'it'}: expected one of ${names}, found ${shown(value)}`);
      }
      if (branch.name === 'null') return null;
      return { [branch.name]: branch.convert(value, path, depth + 1) };
    };
  }
}

function namedBranch(value: Record<string, unknown>): string | undefined {
  const names = Object.keys(value);
  return names.length === 1 ? names[0] : undefined;
}

function takesObjects({ typeName }: Inside): boolean {
  return typeName === 'record' || typeName === 'error' || typeName === 'map';
}

/** Whether a value is of the type, as far as one look tells. */
function shallow(type: Inside): (value: unknown) => boolean {
  switch (type.typeName) {
    case 'null':
      return (value) => value === null;
    case 'boolean':
      return (value) => typeof value === 'boolean';
    case 'int':
      return (value) => Number.isInteger(value) && (value as number) >= -INT_MAX && (value as number) < INT_MAX;
    case 'long':
      // Beyond this JSON.parse has lost digits already: better refused than written wrong.
      return (value) => Number.isInteger(value) && Math.abs(value as number) <= LONG_MAX;
    case 'float':
    case 'double':
      return (value) => typeof value === 'number';
    case 'string':
      return (value) => typeof value === 'string';
    case 'bytes':
      return isLatin1;
    case 'fixed':
      return (value) => isLatin1(value) && value.length === type.size;
    case 'enum': {
      const symbols = new Set<unknown>(type.symbols);
      return (value) => symbols.has(value);
    }
    case 'array':
      return Array.isArray;
    default:
      return isObject;
  }
}

function isLatin1(value: unknown): value is string {
  // eslint-disable-next-line no-control-regex
  return typeof value === 'string' && /^[\u0000-\u00ff]*$/.test(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mismatch(path: string, type: Inside, value: unknown): PayloadFault {
  const wanted = type.name === undefined ? type.typeName : `${type.typeName} ${type.name}`;
  return new PayloadFault(`${path || 'it'}: expected ${wanted}, found ${shown(value)}`);
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
