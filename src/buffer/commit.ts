/**
 * Group commit: the one way into a shard's log.
 *
 * One append is in flight per shard and process. While it is, messages gather and are packed; the next append takes all of
 * them as one frame. There is no timer on the way: an idle shard commits one message at once (at the end of the event-loop
 * turn that brought it, so that one turn's messages go together), a busy one hundreds.
 *
 *     idle ──add──> scheduled ──turn ends──> appending ──committed──> idle | scheduled (paced above the soft limit)
 *                                               │ full / certainly not appended
 *                                               ├──────────> holding: the frame is kept, tried again; QoS 0 leaves it
 *                                               │ outcome unknown
 *                                               └──────────> recovering: all waiters refused, reopen() until it works
 *
 * Order is kept by one rule: when a waiter is refused, every later waiter of the shard is refused too. Had a later message of
 * the same client been committed, the device's resend of the refused one would come behind it.
 */
import { errorText, SluiceError, type ErrorCode } from '../errors.ts';
import type { Message } from '../message.ts';
import { decodeFrame, FrameWriter, stampFrame } from './frame.ts';
import type { AppendOutcome, AppendRequest, BufferStore, OffsetRange, Qos2Id, ShardState } from './store.ts';

/** One who waits for a commit. Exactly one of the three is called, once, in the order of the shard's entries. */
export interface CommitWaiter {
  /** Durable, with all that the shard was given before. `duplicate`: this QoS 2 id was known, so nothing was appended. */
  committed(duplicate: boolean): void;
  /** Nothing must be acknowledged: the message is not, or not certainly, in the log. */
  refused(error: SluiceError): void;
  /** The buffer is full and this message has QoS 0: it is dropped. */
  dropped(): void;
}

/** How far what feeds the log has come (see AppendRequest.cursors). */
export interface Cursor {
  readonly name: string;
  readonly value: string;
}

export interface CommitOptions {
  readonly shard: number;
  /** A message waits this long for its commit at most; then it is refused, and the device resends. */
  readonly appendTimeoutMs: number;
  /** Share of the shard's bytes above which commits are paced (0 .. 1). */
  readonly softLimit: number;
  /** Bytes that may wait for their commit; beyond, messages are refused at once. */
  readonly pendingMaxBytes: number;
  /** A frame takes no further message beyond this. It must fit into the shard many times over. */
  readonly frameMaxBytes: number;
}

export interface CommitEvents {
  /** A frame is durable. Called before its waiters, so that forwarding does not wait for acknowledgements. */
  frameCommitted(shard: number, base: number, count: number, frame: Buffer): void;
  /** The store has answered: how long it took, and how long the oldest entry had waited before it is told. */
  measured?(messages: number, bytes: number, appendMs: number, waitedMs: number): void;
  /** The log was emptied or rolled back: offsets that this process saw committed are gone from it. */
  logReplaced(shard: number, missing: OffsetRange, state: ShardState): void;
  /** Health of the way in: undefined = appends work. Called on change only. */
  health(shard: number, error: SluiceError | undefined): void;
}

/** What the group commit has done since the start. */
export interface CommitCounters {
  appends: number;
  messages: number;
  refused: number;
  droppedQos0: number;
  duplicates: number;
  /** `refused`, by the code of the error. */
  readonly refusedBy: Partial<Record<ErrorCode, number>>;
}

/** Errors after which nothing of the append is in the log, nor will be: the same frame may be tried again. */
const CERTAINLY_NOT: ReadonlySet<ErrorCode> = new Set([
  'APPENDER_STALE',
  'STORE_OFFLINE',
  'STORE_READ_ONLY',
  'STORE_REFUSED',
]);

type State = 'idle' | 'scheduled' | 'appending' | 'holding' | 'recovering' | 'closed';

/** Above the soft limit a commit is followed by a pause, up to this one at the hard limit. */
const PACE_MAX_MS = 1_000;
const HOLD_RETRY_MS = 100;
const RECOVER_MIN_MS = 50;
const RECOVER_MAX_MS = 1_000;

/** What gathers for the next append. `waiters[i]` waits for entry i; `messages[i]` is its index in the frame, or -1. */
class Batch {
  readonly waiters: CommitWaiter[] = [];
  readonly messages: number[] = [];
  readonly qos2Add: Qos2Id[] = [];
  /** Entry of each qos2Add. */
  readonly qos2Entries: number[] = [];
  readonly qos2Remove: Qos2Id[] = [];
  readonly qos2Clear: string[] = [];
  readonly cursors: Record<string, string> = {};
  /** Of what a cursor counts nothing may be left out. */
  hasCursors = false;
  /** What of qos2Add is in force: a resend over a new connection may reach the batch that still holds the first one. */
  readonly qos2Known = new Map<string, Set<Qos2Id['packetId']>>();
  count = 0;
  frame: Buffer | undefined;
  /** When its first entry came, on the monotonic clock. */
  since = 0;

  get empty(): boolean {
    return this.waiters.length === 0;
  }

  /** Entries that only wait for their turn: nothing to store. */
  get nothingToStore(): boolean {
    return this.count === 0 && this.qos2Add.length === 0 && this.qos2Remove.length === 0 && this.qos2Clear.length === 0;
  }
}

export class GroupCommit {
  readonly #store: BufferStore;
  readonly #options: CommitOptions;
  readonly #events: CommitEvents;
  readonly #now: () => number;
  readonly #writer = new FrameWriter();
  readonly counters: CommitCounters = {
    appends: 0,
    messages: 0,
    refused: 0,
    droppedQos0: 0,
    duplicates: 0,
    refusedBy: {},
  };
  #state: State = 'idle';
  /** Closed batches, oldest first: what came while an append was in flight, and is more than one frame. */
  #queue: Batch[] = [];
  #queueBytes = 0;
  /** Takes what comes. */
  #pending = new Batch();
  /** What is being appended, or held until it can be. */
  #current: Batch | undefined;
  #logId: string;
  #knownHead: number;
  #sequence = 0;
  #bytes = 0;
  /** Appends and reopens that failed since the last commit. */
  #failures = 0;
  #error: SluiceError | undefined;
  #paceTimer: NodeJS.Timeout | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #idleWaiters: (() => void)[] = [];

  constructor(
    store: BufferStore,
    opened: ShardState,
    options: CommitOptions,
    events: CommitEvents,
    now = (): number => performance.now(),
  ) {
    this.#store = store;
    this.#options = options;
    this.#events = events;
    this.#now = now;
    this.#logId = lastLogId(opened);
    this.#knownHead = opened.head;
  }

  /** The shard is at its hard limit: QoS 0 messages are dropped until it takes appends again. */
  get full(): boolean {
    return this.#state === 'holding' && this.#error?.code === 'STORE_FULL';
  }

  /**
   * Commits a message. `once` is remembered in the same commit, a QoS 2 packet id or other names of the message, and so is
   * `cursor`. Where one of the names is known already, the message is a repeat.
   */
  append(message: Message, waiter: CommitWaiter, once?: number | readonly Qos2Id[], cursor?: Cursor): void {
    if (message.qos === 0 && cursor === undefined && this.full) {
      this.counters.droppedQos0++;
      waiter.dropped();
      return;
    }
    if (this.#queueBytes + this.#writer.bytes > this.#options.pendingMaxBytes) {
      this.#refuse(waiter, this.#error ?? new SluiceError('STORE_UNAVAILABLE', 'too much waits for the buffer store'));
      return;
    }
    if (this.#pending.count > 0 && this.#writer.bytes + message.payload.length > this.#options.frameMaxBytes) {
      this.#closeBatch();
    }
    const batch = this.#pending;
    const ids = typeof once === 'number' ? [{ clientId: message.clientId, packetId: once }] : once;
    if (ids !== undefined && !this.#noteQos2(ids)) {
      this.counters.duplicates++;
      this.barrier(new DuplicateWaiter(waiter));
      return;
    }
    this.#writer.add(message);
    if (cursor !== undefined) {
      batch.cursors[cursor.name] = cursor.value;
      batch.hasCursors = true;
    }
    batch.messages.push(batch.count++);
    this.#push(waiter);
  }

  /** Remembers a QoS 2 packet id without a message: the publish matches no route, and is still to be taken once. */
  addQos2(id: Qos2Id, waiter: CommitWaiter): void {
    if (!this.#noteQos2([id])) {
      this.counters.duplicates++;
      waiter = new DuplicateWaiter(waiter);
    }
    this.barrier(waiter);
  }

  /** Forgets a QoS 2 packet id: its PUBREL came, and PUBCOMP follows the commit. */
  removeQos2(id: Qos2Id, waiter: CommitWaiter): void {
    this.#pending.qos2Remove.push(id);
    this.barrier(waiter);
  }

  /** Forgets all QoS 2 packet ids of a client that starts clean. */
  clearQos2(clientId: string, waiter: CommitWaiter): void {
    this.#pending.qos2Clear.push(clientId);
    this.#pending.qos2Known.delete(clientId);
    this.barrier(waiter);
  }

  /** Waits for what was given before, stores nothing: keeps a client's acknowledgements in order [MQTT-4.6.0-2]. */
  barrier(waiter: CommitWaiter): void {
    this.#pending.messages.push(-1);
    this.#push(waiter);
  }

  /** Resolves once nothing waits or is in flight (a refused message waits no longer). */
  async settled(): Promise<void> {
    if (this.#oldest === undefined) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Refuses what waits; an append in flight is left to end by itself. */
  close(): void {
    this.#state = 'closed';
    clearTimeout(this.#paceTimer);
    clearTimeout(this.#deadlineTimer);
    this.#refuseAll(new SluiceError('STORE_UNAVAILABLE', 'sluice is stopping'));
  }

  /** What has waited longest. */
  get #oldest(): Batch | undefined {
    return this.#current ?? this.#queue[0] ?? (this.#pending.empty ? undefined : this.#pending);
  }

  /** The batch that gathers is full: another one gathers behind it. */
  #closeBatch(): void {
    const batch = this.#pending;
    batch.frame = batch.count > 0 ? this.#writer.finish() : undefined;
    this.#queueBytes += batch.frame?.length ?? 0;
    this.#queue.push(batch);
    this.#pending = new Batch();
  }

  #takeBatch(): Batch | undefined {
    if (this.#queue.length === 0) {
      if (this.#pending.empty) return undefined;
      this.#closeBatch();
    }
    const batch = this.#queue.shift();
    this.#queueBytes -= batch?.frame?.length ?? 0;
    return batch;
  }

  /** false: the batch that gathers holds one of these ids of an entry already. */
  #noteQos2(ids: readonly Qos2Id[]): boolean {
    const batch = this.#pending;
    for (const { clientId, packetId } of ids) if (batch.qos2Known.get(clientId)?.has(packetId) === true) return false;
    for (const id of ids) {
      let known = batch.qos2Known.get(id.clientId);
      if (known === undefined) batch.qos2Known.set(id.clientId, (known = new Set()));
      known.add(id.packetId);
      batch.qos2Add.push(id);
      batch.qos2Entries.push(batch.waiters.length);
    }
    return true;
  }

  #push(waiter: CommitWaiter): void {
    const batch = this.#pending;
    if (batch.empty) batch.since = this.#now();
    batch.waiters.push(waiter);
    if (this.#deadlineTimer === undefined) this.#armDeadline();
    if (this.#state === 'idle') {
      this.#state = 'scheduled';
      setImmediate(this.#turnEnded);
    } else if (this.#state === 'closed') {
      this.#refuseAll(new SluiceError('STORE_UNAVAILABLE', 'sluice is stopping'));
    }
  }

  readonly #turnEnded = (): void => {
    if (this.#state === 'scheduled') this.#commitNext();
  };

  #schedule(): void {
    if (this.#state === 'closed') return;
    clearTimeout(this.#paceTimer);
    this.#state = 'scheduled';
    setImmediate(this.#turnEnded);
  }

  #commitNext(): void {
    const batch = (this.#current ??= this.#takeBatch());
    if (batch === undefined) {
      this.#state = 'idle';
      this.#wakeIdleWaiters();
      return;
    }
    if (batch.nothingToStore) {
      this.#tellCommitted(batch);
      this.#goOn();
      return;
    }
    this.#state = 'appending';
    void this.#append(batch);
  }

  async #append(batch: Batch): Promise<void> {
    if (batch.frame !== undefined) stampFrame(batch.frame, this.#logId);
    const request: AppendRequest = {
      shard: this.#options.shard,
      logId: this.#logId,
      sequence: ++this.#sequence,
      frame: batch.frame,
      count: batch.count,
      qos2Add: batch.qos2Add,
      qos2Remove: batch.qos2Remove,
      qos2Clear: batch.qos2Clear,
      ...(batch.hasCursors ? { cursors: batch.cursors } : {}),
    };
    this.counters.appends++;
    const sentAt = this.#now();
    let outcome: AppendOutcome;
    try {
      outcome = await this.#store.append(request);
    } catch (error) {
      this.#appendFailed(batch, asStoreError(error));
      return;
    }
    switch (outcome.kind) {
      case 'committed':
        this.#measure(batch, sentAt);
        this.#committed(batch, outcome.base, outcome.bytes);
        return;
      case 'duplicate':
        if (this.#current === batch) {
          this.#leaveOut(batch, new Set(outcome.indexes.map((index) => batch.qos2Entries[index] ?? -1)), 'duplicate');
        }
        this.#goOn();
        return;
      case 'full':
        this.#held(batch, new SluiceError('STORE_FULL', 'the buffer is full'));
        return;
    }
  }

  #measure(batch: Batch, sentAt: number): void {
    const now = this.#now();
    this.#events.measured?.(batch.count, batch.frame?.length ?? 0, now - sentAt, now - batch.since);
  }

  #committed(batch: Batch, base: number, bytes: number): void {
    this.#bytes = bytes;
    this.#failures = 0;
    this.#reportHealth(undefined);
    const replaced = batch.frame !== undefined && base <= this.#knownHead;
    if (batch.frame !== undefined && !replaced) {
      this.#knownHead = base + batch.count - 1;
      this.counters.messages += batch.count;
      this.#events.frameCommitted(this.#options.shard, base, batch.count, batch.frame);
    }
    this.#tellCommitted(batch);
    const paceMs = this.#paceMs();
    if (replaced) {
      // Offsets went backwards under the same log id: the log is another one. What was just committed stands; the next
      // append goes to a new epoch, so that no sluice-id is used twice.
      void this.#recover();
    } else if (paceMs >= 1 && this.#state !== 'closed') {
      this.#state = 'holding';
      this.#paceTimer = setTimeout(() => this.#schedule(), paceMs);
    } else {
      this.#goOn();
    }
  }

  /** Unless they were refused in the meantime. What they add goes into the next frame. */
  #tellCommitted(batch: Batch): void {
    if (this.#current !== batch) return;
    this.#current = undefined;
    for (const waiter of batch.waiters) waiter.committed(false);
  }

  #goOn(): void {
    if (this.#state === 'closed') {
      this.#wakeIdleWaiters();
    } else if (this.#current !== undefined || this.#queue.length > 0 || !this.#pending.nothingToStore) {
      this.#commitNext();
    } else {
      // Also where only barriers wait: they are told in a turn of their own, so that telling never recurses.
      this.#schedule();
    }
  }

  #paceMs(): number {
    const limit = this.#store.maxBytes / this.#store.shards;
    const soft = limit * this.#options.softLimit;
    if (this.#bytes <= soft) return 0;
    return PACE_MAX_MS * Math.min(1, (this.#bytes - soft) / Math.max(1, limit - soft));
  }

  #appendFailed(batch: Batch, error: SluiceError): void {
    if (this.#state === 'closed') return;
    this.#reportHealth(error);
    const certainlyNot = CERTAINLY_NOT.has(error.code);
    if (!certainlyNot && this.#current === batch) {
      // It may be in the log. It is never sent again by us: the devices resend, and DUP marks what is a repeat.
      this.#refuseAll(error);
    }
    void this.#recover();
  }

  /** Full, or certainly not appended: the frame is kept and tried again until its deadline. QoS 0 does not wait. */
  #held(batch: Batch, error: SluiceError): void {
    this.#reportHealth(error);
    if (this.#state === 'closed') return;
    this.#state = 'holding';
    if (this.#current === batch) this.#dropQos0(batch);
    this.#paceTimer = setTimeout(() => this.#schedule(), HOLD_RETRY_MS);
  }

  async #recover(): Promise<void> {
    this.#state = 'recovering';
    for (;;) {
      // The first time at once: a connection that was cut is most often there again.
      if (this.#failures > 0) {
        const delayMs = Math.min(RECOVER_MIN_MS * 2 ** (this.#failures - 1), RECOVER_MAX_MS);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
      if (this.#stopped()) return;
      this.#failures++;
      try {
        const state = await this.#store.reopen(this.#options.shard, this.#knownHead);
        if (this.#stopped()) return;
        this.#logId = lastLogId(state);
        if (state.missing !== undefined) this.#events.logReplaced(this.#options.shard, state.missing, state);
        this.#knownHead = Math.max(this.#knownHead, state.head);
        // Well again, unless what waits is yet to show that it can be written.
        if (this.#oldest === undefined) this.#reportHealth(undefined);
        this.#schedule();
        return;
      } catch (error) {
        if (this.#stopped()) return;
        this.#reportHealth(asStoreError(error));
      }
    }
  }

  #stopped(): boolean {
    return this.#state === 'closed';
  }

  /** Takes entries out of a batch that certainly was not appended, and packs the rest again. */
  #leaveOut(batch: Batch, entries: ReadonlySet<number>, as: 'duplicate' | 'dropped'): void {
    const rest = new Batch();
    rest.since = batch.since;
    rest.qos2Remove.push(...batch.qos2Remove);
    rest.qos2Clear.push(...batch.qos2Clear);
    Object.assign(rest.cursors, batch.cursors);
    rest.hasCursors = batch.hasCursors;
    const stored = batch.frame === undefined ? [] : decodeFrame(batch.frame).messages;
    const writer = new FrameWriter();
    const idsOf = new Map<number, Qos2Id[]>();
    batch.qos2Add.forEach((id, index) => {
      const entry = batch.qos2Entries[index] ?? -1;
      idsOf.set(entry, [...(idsOf.get(entry) ?? []), id]);
    });
    batch.waiters.forEach((waiter, entry) => {
      const out = entries.has(entry);
      const message = stored[batch.messages[entry] ?? -1];
      if (out && as === 'dropped') {
        this.counters.droppedQos0++;
        waiter.dropped();
        return;
      }
      // A duplicate keeps its place: it is acknowledged in its turn, with nothing appended.
      rest.waiters.push(out ? new DuplicateWaiter(waiter) : waiter);
      if (out) {
        this.counters.duplicates++;
        rest.messages.push(-1);
        return;
      }
      for (const id of idsOf.get(entry) ?? []) {
        rest.qos2Add.push(id);
        rest.qos2Entries.push(rest.waiters.length - 1);
      }
      if (message === undefined) {
        rest.messages.push(-1);
      } else {
        writer.add(message);
        rest.messages.push(rest.count++);
      }
    });
    rest.frame = rest.count > 0 ? writer.finish() : undefined;
    this.#current = rest;
  }

  #dropQos0(batch: Batch): void {
    if (batch.frame === undefined || batch.hasCursors) return;
    const stored = decodeFrame(batch.frame).messages;
    const entries = new Set<number>();
    batch.messages.forEach((index, entry) => {
      if (stored[index]?.qos === 0) entries.add(entry);
    });
    if (entries.size > 0) this.#leaveOut(batch, entries, 'dropped');
  }

  /** Refuses everything that waits, in order: see the rule at the top. */
  #refuseAll(error: SluiceError): void {
    const batches = [this.#current, ...this.#queue, this.#pending];
    if (this.#pending.count > 0) this.#writer.finish();
    this.#current = undefined;
    this.#queue = [];
    this.#queueBytes = 0;
    this.#pending = new Batch();
    clearTimeout(this.#deadlineTimer);
    this.#deadlineTimer = undefined;
    for (const batch of batches) {
      for (const waiter of batch?.waiters ?? []) this.#refuse(waiter, error);
    }
    this.#wakeIdleWaiters();
  }

  #refuse(waiter: CommitWaiter, error: SluiceError): void {
    this.counters.refused++;
    this.counters.refusedBy[error.code] = (this.counters.refusedBy[error.code] ?? 0) + 1;
    waiter.refused(error);
  }

  /** One timer for the oldest entry. An append in flight is not recalled: its outcome is ignored when it comes. */
  #armDeadline(): void {
    if (this.#deadlineTimer !== undefined) return;
    const oldest = this.#oldest;
    if (oldest === undefined) return;
    const waitMs = Math.max(1, oldest.since + this.#options.appendTimeoutMs - this.#now());
    this.#deadlineTimer = setTimeout(this.#deadlinePassed, waitMs);
  }

  readonly #deadlinePassed = (): void => {
    this.#deadlineTimer = undefined;
    const oldest = this.#oldest;
    if (oldest === undefined) return;
    if (oldest.since + this.#options.appendTimeoutMs > this.#now()) return this.#armDeadline();
    const error =
      this.#error ??
      new SluiceError('STORE_TIMEOUT', `the buffer store did not commit within ${this.#options.appendTimeoutMs} ms`);
    this.#reportHealth(error);
    const holding = this.#state === 'holding';
    this.#refuseAll(error);
    // The held frame has gone with its waiters; what comes next is tried at once.
    if (holding) this.#schedule();
  };

  #reportHealth(error: SluiceError | undefined): void {
    if (this.#error?.code === error?.code) return;
    this.#error = error;
    this.#events.health(this.#options.shard, error);
  }

  #wakeIdleWaiters(): void {
    if (this.#oldest !== undefined) return;
    const waiting = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiting) resolve();
  }
}

/** Stands in for the waiter of a QoS 2 message whose id was known already. */
export class DuplicateWaiter implements CommitWaiter {
  readonly #waiter: CommitWaiter;

  constructor(waiter: CommitWaiter) {
    this.#waiter = waiter;
  }

  committed(): void {
    this.#waiter.committed(true);
  }

  refused(error: SluiceError): void {
    this.#waiter.refused(error);
  }

  dropped(): void {
    this.#waiter.dropped();
  }
}

function lastLogId(state: ShardState): string {
  const epoch = state.epochs.at(-1);
  if (epoch === undefined) throw new SluiceError('STORE_FORMAT', `shard ${state.shard} has no log id`);
  return epoch.logId;
}

function asStoreError(error: unknown): SluiceError {
  return error instanceof SluiceError
    ? error
    : new SluiceError('STORE_UNAVAILABLE', errorText(error), { cause: error });
}
