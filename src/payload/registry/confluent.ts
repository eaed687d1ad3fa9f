/**
 * Confluent's wire format: a zero byte, the schema id (4 bytes, big-endian), for Protobuf the path of the message in its file, and the
 * encoded value. https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
 */
export function schemaPrefix(schemaId: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(schemaId, 1);
  return prefix;
}

/** `path`: index of the message among those of its file, then among those within it. [0], by far the commonest, is one zero byte. */
export function messagePath(path: readonly number[]): Buffer {
  if (path.length === 1 && path[0] === 0) return Buffer.of(0);
  const bytes: number[] = [];
  for (const value of [path.length, ...path]) {
    // Zigzag, as Avro's int; none is negative.
    let rest = value * 2;
    while (rest > 0x7f) {
      bytes.push((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    bytes.push(rest);
  }
  return Buffer.from(bytes);
}
