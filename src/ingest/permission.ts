/** What of a publish is never accepted, whatever the state of the buffer. */
import type { Access } from '../auth/access/access.ts';

export interface PublishLimits {
  readonly topicLevels: number;
  /** UTF-8. */
  readonly topicMaxBytes: number;
  readonly payloadMaxBytes: number;
}

export const noPublishLimits: PublishLimits = {
  topicLevels: Infinity,
  topicMaxBytes: Infinity,
  payloadMaxBytes: Infinity,
};

/** Why a message will never be accepted. */
export type Forbidden =
  'reserved-topic' | 'access' | 'topic-levels' | 'topic-length' | 'payload-size' | 'invalid-payload';

export interface Publication {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

/** `access` undefined: everything is allowed. */
export function publishFault(
  publication: Publication,
  access: Access | undefined,
  limits: PublishLimits,
): Forbidden | undefined {
  const { topic, payload, qos, retain } = publication;
  // Broker topics are the broker's own.
  if (topic.startsWith('$SYS/')) return 'reserved-topic';
  const fault = topicFault(topic, limits);
  if (fault !== undefined) return fault;
  if (payload.length > limits.payloadMaxBytes) return 'payload-size';
  return access === undefined || access.mayPublish(topic, qos, retain) ? undefined : 'access';
}

/** Of topic names and filters. */
export function topicFault(topic: string, limits: PublishLimits): 'topic-levels' | 'topic-length' | undefined {
  // A character of a string takes up to three bytes, and makes at most one level more: most topics need no second look.
  if (3 * topic.length > limits.topicMaxBytes && Buffer.byteLength(topic) > limits.topicMaxBytes) return 'topic-length';
  if (topic.length >= limits.topicLevels && topic.split('/').length > limits.topicLevels) return 'topic-levels';
  return undefined;
}
