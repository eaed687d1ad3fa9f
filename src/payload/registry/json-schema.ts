/** JSON in Confluent's wire format: checked against the registry's schema, and written as the device wrote it. */
import { isProblem } from '../../routes/problem.ts';
import { compileSchema } from '../schema.ts';
import type { ResolvedSchema } from './client.ts';
import { schemaPrefix } from './confluent.ts';
import { encoding, type SchemaEncoder } from './encoder.ts';
import { PayloadFault } from './payload-fault.ts';

/** What does not say its draft is of draft 7, as Confluent's serializers take it. @throws Error where the schema is none */
export function jsonSchemaEncoder({ id, version, text, imports }: ResolvedSchema): SchemaEncoder {
  const schema = compileSchema(text, { draft: 7, lenient: true, imports });
  if (isProblem(schema)) throw new Error(`it ${schema.message}; ${schema.wayOut}`);
  const check = (value: unknown, payload: Buffer): Buffer => {
    const fault = schema.fault(value);
    if (fault !== undefined) throw new PayloadFault(fault.reason);
    return payload;
  };
  return { schemaId: id, version, encode: encoding(schemaPrefix(id), 'json', check) };
}
