/** Names that Kafka takes for a topic (org.apache.kafka.common.internals.Topic). */
import { quoted } from './problem.ts';

export const KAFKA_TOPIC_MAX_CHARACTERS = 249;
const illegalCharacter = /[^a-zA-Z0-9._-]/u;

/** Why a text cannot be a Kafka topic; undefined: it can. */
export function kafkaTopicFault(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name === '.' || name === '..') return `${quoted(name)} is not allowed`;
  if (name.length > KAFKA_TOPIC_MAX_CHARACTERS) {
    return `it has ${name.length} characters, Kafka allows ${KAFKA_TOPIC_MAX_CHARACTERS}`;
  }
  const illegal = illegalCharacterOf(name);
  return illegal === undefined ? undefined : `it holds ${illegal}, Kafka allows a-z A-Z 0-9 . _ -`;
}

/** The first character that no topic name may hold, quoted. */
export function illegalCharacterOf(text: string): string | undefined {
  const found = illegalCharacter.exec(text);
  return found === null ? undefined : quoted(found[0]);
}

/**
 * `__consumer_offsets`, `__transaction_state` and their like carry a cluster's own state. A route may name such a topic
 * in plain text; no client may reach one through a name made of its client id or MQTT topic.
 */
export function isInternalTopicName(name: string): boolean {
  return name.startsWith('__');
}
