/**
 * JSON to Protobuf binary (the ProtoJSON mapping, strict), and Protobuf binary checked.
 * https://protobuf.dev/programming-guides/json/
 */
import protobuf from 'protobufjs';
import protojson from 'protobufjs/ext/protojson.js';
import { errorText } from '../../errors.ts';
import { PayloadFault } from './payload-fault.ts';
import type { ResolvedSchema } from './client.ts';
import { messagePath, schemaPrefix } from './confluent.ts';
import { encoding, type EncoderOptions, type SchemaEncoder } from './encoder.ts';

/** @throws Error where the schema is none, or has no such message */
export function protobufEncoder(schema: ResolvedSchema, options: EncoderOptions): SchemaEncoder {
  const root = new protobuf.Root();
  const texts = new Map(schema.imports.map(({ name, text }) => [name, text]));
  const own = load(root, schema.text, texts, new Set());
  root.resolveAll();
  const { type, path } = findMessage(own, options.message);
  const prefix = Buffer.concat([schemaPrefix(schema.id), messagePath(path)]);
  const jsonOptions = { ignoreUnknownFields: options.ignoreUnknown };
  const encode = encoding(
    prefix,
    options.from,
    (value) => fromJson(type, value, jsonOptions),
    (payload) => checkBinary(type, payload),
  );
  return { schemaId: schema.id, version: schema.version, encode };
}

function fromJson(type: protobuf.Type, value: unknown, options: { ignoreUnknownFields: boolean }): Uint8Array {
  try {
    return type.encode(protojson.fromJson(type, value, options)).finish();
  } catch (error) {
    throw new PayloadFault(errorText(error).replace(/^\./, ''));
  }
}

function checkBinary(type: protobuf.Type, payload: Buffer): void {
  try {
    type.decode(payload);
  } catch (error) {
    throw new PayloadFault(`it is not Protobuf binary of ${type.fullName.slice(1)}: ${errorText(error)}`);
  }
}

/** The types of a file, those of its imports loaded before it. Gives the names of its own messages, in their order. */
function load(
  root: protobuf.Root,
  text: string,
  texts: ReadonlyMap<string, string>,
  loaded: Set<string>,
): protobuf.Type[] {
  // Parsed apart first: what belongs to this file, and not to another one of the same package.
  const alone = protobuf.parse(text, new protobuf.Root(), { keepCase: true });
  for (const name of [...(alone.imports ?? []), ...(alone.weakImports ?? [])]) {
    if (loaded.has(name)) continue;
    loaded.add(name);
    const known = texts.get(name);
    const common = protobuf.common.get(name);
    if (known !== undefined) load(root, known, texts, loaded);
    else if (common !== null) protobuf.Root.fromJSON(common, root);
    else throw new Error(`it imports ${name}, which the registry does not name as a reference`);
  }
  protobuf.parse(text, root, { keepCase: true });
  const scope = alone.package === undefined ? alone.root : alone.root.lookup(alone.package);
  const names = messagesOf(scope as protobuf.NamespaceBase).map((type) => type.fullName);
  return names.map((name) => root.lookupType(name));
}

function messagesOf(scope: protobuf.NamespaceBase): protobuf.Type[] {
  return scope.nestedArray.filter((nested) => nested instanceof protobuf.Type);
}

/** The named message (its full name, or the end of it), else the first of the file. */
function findMessage(own: readonly protobuf.Type[], name: string | undefined): { type: protobuf.Type; path: number[] } {
  const search = (types: readonly protobuf.Type[], above: number[]): { type: protobuf.Type; path: number[] }[] =>
    types.flatMap((type, index) => {
      const path = [...above, index];
      return [{ type, path }, ...search(messagesOf(type), path)];
    });
  const all = search(own, []);
  const found = name === undefined ? all[0] : all.find(({ type }) => `${type.fullName}`.endsWith(`.${name}`));
  if (found === undefined) {
    const names = all.map(({ type }) => type.fullName.slice(1)).join(', ');
    throw new Error(name === undefined ? 'it declares no message' : `it has no message ${name}, but ${names}`);
  }
  return found;
}
