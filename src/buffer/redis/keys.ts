/** Names in Redis. All keys of a shard share a hash tag, so that its scripts work on one slot of a cluster. */
export interface ShardKeys {
  /** Hash: format, identity, counters of both sides, the newest fencing token. */
  readonly meta: string;
  /** Stream: `<base>-0` with the fields n (messages) and f (frame). */
  readonly log: string;
  /** Hash: appender token -> `<last sequence> <server time of it, ms>`. */
  readonly appenders: string;
  /** String with expiry: `<fencing token> <process>`. */
  readonly lease: string;
  /** Hash: topic -> `<entries> <messages> <bytes>` of its parking log. */
  readonly parked: string;
  /** Hash: name -> value. */
  readonly marks: string;
  /** Stream of frames set aside: `<base>-0` with the field f. */
  readonly aside: string;
  /** Set: the QoS 2 packet ids of a client. */
  qos2(clientId: string): string;
  /** Stream: `<position>-0` with the field f. */
  park(topic: string): string;
}

export function shardKeys(namespace: string, shard: number): ShardKeys {
  const tag = `{${namespace}:${shard}}`;
  return {
    meta: `${tag}:meta`,
    log: `${tag}:log`,
    appenders: `${tag}:appenders`,
    lease: `${tag}:lease`,
    parked: `${tag}:parked`,
    marks: `${tag}:marks`,
    aside: `${tag}:aside`,
    qos2: (clientId) => `${tag}:q2:${clientId}`,
    park: (topic) => `${tag}:park:${topic}`,
  };
}

/** A process listens here for the shards that others appended to. */
export function wakeChannelPrefix(namespace: string): string {
  return `${namespace}:wake:`;
}
