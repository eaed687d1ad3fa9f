/**
 * What a payload carries, little-endian: sequence (u32), publisher (u32), time of sending (f64, monotonicMs()). The rest
 * of the payload is filler. Consumers account for every message by it.
 */
export const STAMP_BYTES = 16;

export const FILLER = 0x2e;

/** @param {Buffer} buffer @param {number} at */
export function writeStamp(buffer, at, sequence, publisher, sentAtMs) {
  buffer.writeUInt32LE(sequence, at);
  buffer.writeUInt32LE(publisher, at + 4);
  buffer.writeDoubleLE(sentAtMs, at + 8);
}

/** The part that changes with each message of one publisher. */
export function restamp(buffer, at, sequence, sentAtMs) {
  buffer.writeUInt32LE(sequence, at);
  buffer.writeDoubleLE(sentAtMs, at + 8);
}

export const sequenceOf = (buffer, at) => buffer.readUInt32LE(at);
export const publisherOf = (buffer, at) => buffer.readUInt32LE(at + 4);
export const sentAtOf = (buffer, at) => buffer.readDoubleLE(at + 8);

export const publisherName = (publisher) => `bench-${String(publisher).padStart(5, '0')}`;
export const topicOf = (publisher) => `bench/${String(publisher).padStart(5, '0')}`;
