import { valueFault, isFault, type ValueFault } from '../fault.ts';
import { parseJson } from '../json.ts';
import { PayloadFault } from './payload-fault.ts';

/** One schema, ready to encode with. */
export interface SchemaEncoder {
  readonly schemaId: number;
  readonly version: number;
  /** The record value in Confluent's wire format. `json`: the payload, where it is parsed already. */
  encode(payload: Buffer, json?: { readonly value: unknown }): Buffer | ValueFault;
}

export interface EncoderOptions {
  /** What the payload is: JSON to be encoded, or already of the schema, to be checked and prefixed. */
  readonly from: 'json' | 'binary';
  /** Fields that the schema does not have: left out, instead of a fault. */
  readonly ignoreUnknown: boolean;
  /** Protobuf: which message of the file. */
  readonly message?: string | undefined;
}

/** The encoders throw from their depth; what they throw of a payload is given back as the outcome that it is. */
export function encoding(
  prefix: Buffer,
  from: EncoderOptions['from'],
  fromValue: (value: unknown, payload: Buffer) => Uint8Array,
  check?: (payload: Buffer) => void,
): SchemaEncoder['encode'] {
  return (payload, json) => {
    try {
      if (from === 'binary') {
        check?.(payload);
        return Buffer.concat([prefix, payload]);
      }
      const parsed = json ?? parseJson(payload);
      return isFault(parsed) ? parsed : Buffer.concat([prefix, fromValue(parsed.value, payload)]);
    } catch (error) {
      if (error instanceof PayloadFault) return valueFault('SCHEMA_INVALID', error.message);
      throw error;
    }
  };
}
