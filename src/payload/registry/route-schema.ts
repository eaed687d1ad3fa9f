/** Which schema of the registry a route encodes with: one, or one for each of its Kafka topics. */
import { errorText } from '../../errors.ts';
import { problem } from '../../routes/problem.ts';
import type { Route } from '../../routes/route.ts';
import type { RegistryForm, ValueDefinition } from '../definition.ts';
import type { ValueContext } from '../route-value.ts';
import type { SchemaType } from './client.ts';
import { offlineSchema, type SchemaInUse, type WantedSchema } from './schemas.ts';

const types: Readonly<Record<RegistryForm, SchemaType>> = { avro: 'AVRO', protobuf: 'PROTOBUF', jsonSchema: 'JSON' };

export class RouteSchema {
  readonly #wanted: Omit<WantedSchema, 'subject'>;
  readonly #subjectOf: (topic: string) => string;
  readonly #use: (wanted: WantedSchema) => SchemaInUse;
  /** By Kafka topic; as many as topics.max of the route lets be. */
  readonly #byTopic = new Map<string, SchemaInUse>();
  readonly fromBinary: boolean;

  constructor(route: Route, form: RegistryForm, definition: ValueDefinition, context: ValueContext) {
    const { registry = {} } = definition;
    const { subject, strategy = 'topic', record, version = 'latest', from = 'json', ignoreUnknown = false } = registry;
    this.#wanted = {
      type: types[form],
      version,
      from,
      ignoreUnknown,
      message: form === 'protobuf' ? record : undefined,
      text: textOf(registry.file, context),
    };
    this.fromBinary = from === 'binary';
    this.#subjectOf = (topic) => {
      if (subject !== undefined) return subject;
      if (strategy === 'topic') return `${topic}-value`;
      return strategy === 'record' ? (record ?? '') : `${topic}-${record ?? ''}`;
    };
    this.#use = context.schemas ?? offlineSchema;
    // What is known before the first message is asked for before it.
    if (route.to.constant !== undefined) this.of(route.to.constant);
    else if (subject !== undefined || strategy === 'record') this.of('');
  }

  of(topic: string): SchemaInUse {
    let schema = this.#byTopic.get(topic);
    if (schema === undefined) {
      schema = this.#use({ ...this.#wanted, subject: this.#subjectOf(topic) });
      this.#byTopic.set(topic, schema);
    }
    return schema;
  }

  get used(): Iterable<SchemaInUse> {
    return this.#byTopic.values();
  }
}

function textOf(file: string | undefined, { read, report }: ValueContext): string | undefined {
  if (file === undefined) return undefined;
  try {
    return read(file);
  } catch (error) {
    report(['registry', 'file'], file, problem(`cannot be read: ${errorText(error)}`, 'name a file with the schema'));
    return undefined;
  }
}
