/**
 * The dead letter of a record that did not go down: the record as it was, with headers that say why.
 *
 *     <the record's own headers>
 *     sluice-downlink            name of the downlink; a downlink does not read it again (see mapping.ts)
 *     sluice-error-code, sluice-error-reason
 *     sluice-original-topic, sluice-original-partition, sluice-original-offset, sluice-original-timestamp
 *     [sluice-payload-truncated] the value was left out, this was its length: Kafka did not take it with it
 */
import type { OutgoingRecord, SourceRecord } from '../kafka/record-source.ts';

export interface DeadLetterReason {
  readonly code: string;
  readonly reason: string;
}

/** A reason may quote what is in a record. */
const REASON_MAX_CHARACTERS = 500;

export function deadLetter(
  record: SourceRecord,
  { code, reason }: DeadLetterReason,
  to: { readonly downlink: string; readonly topic: string; readonly withValue: boolean },
): OutgoingRecord {
  const headers: Record<string, Buffer | string> = Object.create(null) as Record<string, string>;
  if (to.withValue) for (const [name, value] of record.headers) headers[name] = value;
  headers['sluice-downlink'] = to.downlink;
  headers['sluice-error-code'] = code;
  headers['sluice-error-reason'] = reason.slice(0, REASON_MAX_CHARACTERS);
  headers['sluice-original-topic'] = record.topic;
  headers['sluice-original-partition'] = String(record.partition);
  headers['sluice-original-offset'] = String(record.offset);
  headers['sluice-original-timestamp'] = String(record.timestamp);
  if (!to.withValue) headers['sluice-payload-truncated'] = String(record.value?.length ?? 0);
  return { topic: to.topic, key: record.key, value: to.withValue ? record.value : null, headers };
}
