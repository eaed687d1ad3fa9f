/** One schema, ready to encode with. */
export interface SchemaEncoder {
  readonly schemaId: number;
  readonly version: number;
  /** The record value in Confluent's wire format. @throws PayloadFault */
  encode(payload: Buffer): Buffer;
}

export interface EncoderOptions {
  /** What the payload is: JSON to be encoded, or already of the schema, to be checked and prefixed. */
  readonly from: 'json' | 'binary';
  /** Fields that the schema does not have: left out, instead of a fault. */
  readonly ignoreUnknown: boolean;
  /** Protobuf: which message of the file. */
  readonly message?: string | undefined;
}
