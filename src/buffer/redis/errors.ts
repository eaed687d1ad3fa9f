import { errorText, SluiceError } from '../../errors.ts';

/** The start of a Redis error reply -> what it means for the buffer. */
const REPLIES: readonly (readonly [start: string, code: SluiceError['code'], hint?: string])[] = [
  [
    'OOM',
    'STORE_READ_ONLY',
    'Redis is at maxmemory. Raise it, or lower buffer.maxBytes below it; it goes on by itself.',
  ],
  [
    'READONLY',
    'STORE_READ_ONLY',
    'This Redis is a replica. Point buffer.url at the primary; after a failover it is found by itself.',
  ],
  [
    'MISCONF',
    'STORE_READ_ONLY',
    'Redis cannot write its files. Free disk space where Redis runs; it goes on by itself.',
  ],
  ['NOREPLICAS', 'STORE_READ_ONLY', 'Redis has fewer replicas than min-replicas-to-write asks for.'],
  ['NOAUTH', 'STORE_REFUSED', 'Redis asks for a password: buffer.url: redis://user:password@host:port'],
  ['WRONGPASS', 'STORE_REFUSED', 'Redis does not take this user and password: check those in buffer.url.'],
  [
    'NOPERM',
    'STORE_REFUSED',
    'The Redis user may not run a command that the buffer needs: see docs on Redis permissions.',
  ],
  ['LOADING', 'STORE_OFFLINE'],
  ['MASTERDOWN', 'STORE_OFFLINE'],
  ['CLUSTERDOWN', 'STORE_OFFLINE'],
  ['BUSY', 'STORE_OFFLINE'],
  ['TRYAGAIN', 'STORE_OFFLINE'],
];

/** ioredis marks what the server answered; everything else happened to the connection. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

function replyText(error: unknown): string {
  return errorText(error).replace(/^Ready check failed: /, '');
}

/** The server is not the one to write to: another connection may lead to the right one. */
export function isReadOnlyReplica(error: unknown): boolean {
  return error instanceof Error && replyText(error).startsWith('READONLY');
}

export function redisError(error: unknown, address: string): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = replyText(error);
  for (const [start, code, hint] of REPLIES) {
    if (!text.startsWith(start)) continue;
    return new SluiceError(code, `Redis ${address}: ${text}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  }
  if (isReply(error)) return new SluiceError('STORE_REFUSED', `Redis ${address}: ${text}`, { cause: error });
  if (text === 'Command timed out') {
    return new SluiceError('STORE_TIMEOUT', `Redis ${address} did not answer in time`, { cause: error });
  }
  // Refused by ioredis before it was sent: certainly not executed.
  const unsent = text.startsWith('Stream isn');
  return new SluiceError(
    unsent ? 'STORE_OFFLINE' : 'STORE_UNAVAILABLE',
    `Redis ${address}: ${unsent ? 'not connected' : connectionText(error, text)}`,
    { cause: error },
  );
}

/** What ioredis calls by the name of the option that made it so. */
function connectionText(error: unknown, text: string): string {
  if (error instanceof Error && error.name === 'MaxRetriesPerRequestError')
    return 'the connection was lost before it answered';
  return text;
}
