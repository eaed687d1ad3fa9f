/** User name and password, against a users file. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { ConnectAttempt, Identity } from './identity.ts';
import { blockedAnswer, notMine, refuse, type Answer, type AuthEvents, type AuthMethod } from './method.ts';
import { decoy, formatHash, passwordMatches, standardCost, type PasswordHash } from './password.ts';
import { HashingThread } from './hashing-thread.ts';
import { ProvenCache } from './proven.ts';
import { parseUsers, usersFileMaxBytes, type Users } from './users-file.ts';
import { WatchedFile } from './watched-file.ts';
import { WorkQueue } from './work-queue.ts';

export interface UsersOptions {
  readonly file: string;
  readonly pollMs?: number;
}

/** Longer ones are nobody's: what is hashed is bounded. */
const PASSWORD_MAX_BYTES = 1_024;
/** A proven password is believed for so long without hashing it anew, if the file still has the same hash for it. */
const PROVEN_LIFE_MS = 3_600_000;
const PROVEN_MAX = 100_000;
const WAITING_MAX = 512;
const WAITING_MAX_PER_ADDRESS = 128;
const WAIT_MAX_MS = 8_000;
/** Of the cores at most half, and no more than this. */
const THREADS_MAX = 4;

export function hashConcurrency(): number {
  return Math.max(1, Math.min(THREADS_MAX, Math.floor(availableParallelism() / 2)));
}

export class UsersMethod implements AuthMethod {
  readonly name = 'users';
  readonly #file: WatchedFile<Users>;
  readonly #proven = new ProvenCache<true>({ max: PROVEN_MAX, lifeMs: PROVEN_LIFE_MS });
  readonly #threads = Array.from({ length: hashConcurrency() }, () => new HashingThread());
  readonly #idle = [...this.#threads];
  readonly #queue = new WorkQueue({
    concurrency: hashConcurrency(),
    waitingMax: WAITING_MAX,
    waitingMaxPerKey: WAITING_MAX_PER_ADDRESS,
    waitMaxMs: WAIT_MAX_MS,
  });
  #decoy: PasswordHash | undefined;
  /** Hashes computed; for tests and measurements. */
  hashed = 0;

  /** @throws SluiceError AUTH_FILE */
  static async open({ file, pollMs }: UsersOptions, events: AuthEvents): Promise<UsersMethod> {
    const method: { value?: UsersMethod } = {};
    const watched = await WatchedFile.open<Users>({
      file,
      maxBytes: usersFileMaxBytes,
      parse: (bytes, name) => parseUsers(bytes.toString('utf8'), name),
      changed: (users) => {
        method.value?.forgetDecoy();
        events.changed(`${file}: ${users.size} users`);
      },
      fault: (error) => events.fault(`the users file; the old users stay`, error),
      ...(pollMs === undefined ? {} : { pollMs }),
    });
    return (method.value = new UsersMethod(watched));
  }

  private constructor(file: WatchedFile<Users>) {
    this.#file = file;
  }

  async authenticate(attempt: ConnectAttempt, blocked: boolean): Promise<Answer> {
    const { username, password, remoteAddress } = attempt;
    if (username === undefined || password === undefined) return notMine;
    const stored = this.#file.content.get(username);
    const key = this.#proven.keyOf(username, password, stored && formatHash(stored));
    if (stored !== undefined && this.#proven.get(key) === true) return accepted(username, stored);
    if (blocked) return blockedAnswer;
    const tooLong = password.length > PASSWORD_MAX_BYTES;
    // A user that is not there costs as much as one that is: the time tells nothing.
    const against = stored === undefined || tooLong ? this.#decoyLike() : stored;
    const tried = tooLong ? password.subarray(0, PASSWORD_MAX_BYTES) : password;
    const matches = await this.#queue.run(remoteAddress, () => this.#compare(tried, against));
    if (matches === undefined) return refuse('unavailable', 'too many passwords wait to be checked');
    if (stored === undefined) return notMine;
    if (!matches || against !== stored) return refuse('credentials', `wrong password of user ${username}`);
    this.#proven.add(key, true);
    return accepted(username, stored);
  }

  /** On a thread that has nothing to do: the queue lets in no more than there are. */
  async #compare(password: Buffer, against: PasswordHash): Promise<boolean> {
    this.hashed++;
    const thread = this.#idle.pop();
    if (thread === undefined) throw new Error('more hashes at the same time than threads');
    try {
      return await passwordMatches(password, against, thread.derive);
    } finally {
      this.#idle.push(thread);
    }
  }

  holds({ user, stamp }: Identity): boolean {
    const stored = this.#file.content.get(user);
    return stored !== undefined && stampOf(stored) === stamp;
  }

  look(): Promise<void> {
    return this.#file.look();
  }

  forgetDecoy(): void {
    this.#decoy = undefined;
  }

  close(): void {
    this.#file.close();
    for (const thread of this.#threads) thread.close();
  }

  #decoyLike(): PasswordHash {
    if (this.#decoy !== undefined) return this.#decoy;
    const [first] = this.#file.content.values();
    return (this.#decoy = decoy(first ?? standardCost));
  }
}

function accepted(user: string, stored: PasswordHash): Answer {
  const identity: Identity = {
    user,
    method: 'users',
    attributes: new Map(),
    expiresAt: undefined,
    stamp: stampOf(stored),
  };
  return { kind: 'accept', identity };
}

/** Another password, another stamp. */
function stampOf(stored: PasswordHash): string {
  return createHash('sha256').update(formatHash(stored)).digest('base64');
}
