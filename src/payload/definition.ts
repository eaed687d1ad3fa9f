/** What a route does with the payload, as it is configured. */
import type { PayloadCodec } from './decompress.ts';

/** In Confluent's wire format, with a schema of the registry. */
export const registryForms = ['avro', 'protobuf', 'jsonSchema'] as const;
export type RegistryForm = (typeof registryForms)[number];

export const subjectStrategies = ['topic', 'record', 'topicRecord'] as const;

export const valueForms = ['raw', 'json', 'envelope', 'cloudevents', ...registryForms] as const;
export type ValueForm = (typeof valueForms)[number];

export const envelopePayloads = ['auto', 'json', 'string', 'base64'] as const;
export type EnvelopePayload = (typeof envelopePayloads)[number];

export type Constant = string | number | boolean | null;

export interface LookupDefinition {
  /** A JSON file: an object of objects, or of values. */
  readonly file: string;
  /** A template: which entry of the file. */
  readonly key: string;
  /** Field that gets the entry. Without: the fields of the entry are added. */
  readonly into?: string | undefined;
}

export interface FieldsDefinition {
  readonly keep?: readonly string[] | undefined;
  readonly drop?: readonly string[] | undefined;
  readonly rename?: Readonly<Record<string, string>> | undefined;
  readonly lookup?: readonly LookupDefinition[] | undefined;
  /** Constants, and templates; one that is a single `{payload.field}` keeps its type. */
  readonly add?: Readonly<Record<string, Constant>> | undefined;
}

export interface RegistryDefinition {
  /** In place of the strategy. */
  readonly subject?: string | undefined;
  readonly strategy?: (typeof subjectStrategies)[number] | undefined;
  /** Full name of the record or message: for the strategies that name it, and which message of a Protobuf file it is. */
  readonly record?: string | undefined;
  readonly version?: number | 'latest' | undefined;
  readonly from?: 'json' | 'binary' | undefined;
  readonly ignoreUnknown?: boolean | undefined;
  /** The schema itself. */
  readonly file?: string | undefined;
}

export function isRegistryForm(form: ValueForm | undefined): form is RegistryForm {
  return (registryForms as readonly unknown[]).includes(form);
}

export interface ValueDefinition {
  readonly value?: ValueForm | undefined;
  readonly registry?: RegistryDefinition | undefined;
  readonly envelope?: { readonly payload?: EnvelopePayload | undefined } | undefined;
  readonly cloudEvents?:
    | {
        readonly mode?: 'binary' | 'structured' | undefined;
        /** Templates. */
        readonly source?: string | undefined;
        readonly type?: string | undefined;
        readonly subject?: string | undefined;
      }
    | undefined;
  readonly decompress?: PayloadCodec | undefined;
  readonly decompressMaxBytes?: number | undefined;
  /** true: the payload is a list; a text: the path of the list in it. */
  readonly split?: boolean | string | undefined;
  readonly fields?: FieldsDefinition | undefined;
  /** File with a JSON Schema for the payload. */
  readonly schema?: string | undefined;
}
