/**
 * One catalogue of everything that sluice reports: a stable code, what it means, and what the operator can do.
 * docs/errors.md lists the same codes; a test compares the two in both directions.
 */
export const catalogue = {
  CONFIG_INVALID: 'The configuration does not validate. The message names file, line, value and the way out.',
  CONFIG_UNREADABLE: 'The configuration file cannot be read. Check the path and its permissions.',
  LISTENER_FAILED: 'A listener cannot bind or load its certificate. Free the port, or change it in listeners.',
  INSECURE_LISTENER: 'A listener is open to other machines with neither auth nor allowAnonymous: true.',
  AUTH_FILE: 'A users file, key file or revocation list cannot be used. The message names file and line.',
  AUTH_BACKEND:
    'A service that authenticates clients (auth.http, auth.jwt.jwks) fails. Clients are not let in, and try again.',
  STORE_UNAVAILABLE: 'The buffer store does not answer. Nothing is acknowledged until it does.',
  STORE_OFFLINE:
    'The buffer store is not connected. What came is certainly not in it; it waits up to appendTimeout for the store to come back.',
  STORE_REFUSED: 'The buffer store answered with an error. Nothing of that append is acknowledged.',
  STORE_TIMEOUT: 'The buffer store did not answer in time. Whether it committed is unknown; devices resend.',
  STORE_FULL:
    'The buffer is at its hard limit (buffer.maxBytes). Acknowledgements are withheld until Kafka takes messages.',
  STORE_READ_ONLY:
    'The buffer store cannot be written (disk full, read-only, out of memory). Free space; it goes on by itself.',
  STORE_LOCKED:
    'Another process holds the embedded buffer. One process per directory; several instances need store: redis.',
  STORE_FORMAT:
    'The buffer was written in a format that this version does not read. Run the version that wrote it, or newer.',
  SHARD_COUNT_MISMATCH:
    'The buffer was made with another number of shards. Set buffer.shards back, or drain and start afresh.',
  LOG_REPLACED:
    'The log was found emptied or rolled back. It goes on under a new log id; the missing offsets are reported.',
  APPENDER_STALE: 'An append of an old connection or an old log was refused. Its devices were told nothing and resend.',
  FENCED:
    'Another process owns this shard now. What this process had in flight for it is dropped; the owner delivers it.',
  FRAME_CORRUPT: 'A stored frame does not pass its checksum. It was set aside with its offsets; the rest goes on.',
  OFFSETS_MISSING: 'Stored offsets are missing from the log. They were acknowledged and are lost; the store lost data.',
  KAFKA_RECORD: 'Kafka refused one record (too large, invalid). It goes to the dead-letter topic with the reason.',
  KAFKA_TOPIC:
    'Kafka cannot take records for one topic now (unknown, unauthorized, no leader). Its records wait in the buffer.',
  KAFKA_CLUSTER: 'Kafka cannot be reached. Messages are safe in the buffer; delivery resumes by itself.',
  RATE_EXCEEDED:
    'A client published faster than limits.messagesPerSecond or bytesPerSecond allow, and limits.overRate is disconnect. It was disconnected and resends.',
  PUBLISH_REFUSED:
    "The message will never be accepted: its topic is not a topic name, or the broker's own. Publish to another topic.",
  TOO_MANY_REQUESTS:
    'A caller has asked for more than its share. Nothing was taken; ask again after the time that Retry-After says.',
  TOO_MANY_UNRELEASED:
    'A client has too many QoS 2 publishes that it has not released. Its connection is closed; it goes on over a new one.',
  NOT_RUNNING: 'This sluice is not running. Call start() first, and publish before stop().',
  SHUTDOWN_INCOMPLETE: 'shutdownTimeout passed before everything was delivered. The rest stays in the buffer.',
  SCHEMA_UNAVAILABLE:
    'A schema cannot be had from the registry now. What needs it waits in the buffer, and goes on by itself.',
  DOWNLINK_UNAVAILABLE:
    'A downlink cannot read from Kafka now, or cannot write a dead letter. Its records wait there, and it goes on by itself.',
  ADMIN_UNREACHABLE: 'No running sluice answers on the admin socket of this data directory.',
} as const;

export type ErrorCode = keyof typeof catalogue;

/** Every error that sluice throws or reports. `hint` is for the operator; `cause` is what the library below said. */
export class SluiceError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SluiceError';
    this.code = code;
    this.hint = options.hint ?? catalogue[code];
  }
}

export function isSluiceError(error: unknown, code?: ErrorCode): error is SluiceError {
  return error instanceof SluiceError && (code === undefined || error.code === code);
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
