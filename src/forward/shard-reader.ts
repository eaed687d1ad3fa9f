/**
 * Reads one shard in order: from the hot tail where its next frame is there, else from the store, as far as the window has room.
 *
 *     waiting ──committed, appended, poll, room──> working ──nothing in tail or hand──> reading (the store) ──> working
 *                                                    │ a hole, a corrupt frame: made sure of ──> checking ──> working
 *                                                    └ a frame that this version cannot read ──> stopped
 */
import { decodeFrame, type DecodedFrame } from '../buffer/frame.ts';
import type { BufferStore, StoredFrame } from '../buffer/store.ts';
import type { HotTail } from '../buffer/tail.ts';
import { errorText, isSluiceError, SluiceError } from '../errors.ts';
import { backoffMs, type Clock, type TimerHandle } from './clock.ts';
import type { ForwardOptions } from './options.ts';
import type { Ownership } from './ownership.ts';
import type { Settler } from './settler.ts';
import { EmptySpan, OpenFrame } from './span.ts';
import { examine } from './suspect-frame.ts';

export interface ReaderHost {
  /** Makes records of messages from `first` on and queues them. */
  dispatch(frame: OpenFrame, decoded: DecodedFrame, first: number): void;
  /** A run of dispatch() ends. */
  flush(): void;
  /** This shard's part of the window. */
  windowBytes(): number;
  /** There is more to read and no room for it. */
  windowFull(): void;
  /** Asks the store whether the shard is still ours. */
  confirmLease(): Promise<boolean>;
  /** The log ends before what was read: it was rolled back or emptied under us. */
  rolledBack(head: number): void;
  readFault(error: SluiceError | undefined): void;
  frameCorrupt(base: number, count: number, error: SluiceError): void;
  offsetsMissing(from: number, to: number): void;
  stopped(error: SluiceError): void;
}

type State = 'waiting' | 'working' | 'reading' | 'checking' | 'stopped';

/** Work of one turn: then I/O of the whole process has its turn. */
const TURN_MS = 5;
const RETRY_MAX_MS = 2_000;

export class ShardReader {
  /** The next offset to read. */
  next: number;
  /** The highest offset that is known to exist. */
  head: number;
  readonly #ownership: Ownership;
  readonly #store: BufferStore;
  readonly #tail: HotTail;
  readonly #settler: Settler;
  readonly #options: ForwardOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #host: ReaderHost;
  #state: State = 'waiting';
  #scheduled = false;
  /** Base of the last frame that was taken. */
  #lastBase = 0;
  /** Read from the store and not taken yet. */
  #ahead: StoredFrame[] = [];
  /** The store may hold the next offset. */
  #behind = true;
  #attempts = 0;
  #failing = false;
  #retryTimer: TimerHandle | undefined;
  #pollTimer: TimerHandle | undefined;
  #nextAtPoll = 0;
  #paused = false;

  constructor(
    ownership: Ownership,
    store: BufferStore,
    tail: HotTail,
    settler: Settler,
    options: ForwardOptions,
    clock: Clock,
    random: () => number,
    host: ReaderHost,
  ) {
    this.#ownership = ownership;
    this.#store = store;
    this.#tail = tail;
    this.#settler = settler;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#host = host;
    this.next = ownership.lease.released;
    this.head = this.next - 1;
  }

  get shard(): number {
    return this.#ownership.shard;
  }

  start(): void {
    this.#armPoll();
    this.wake();
  }

  /** There may be something to do: a frame in the tail, room in the window. Done after the current turn. */
  wake(): void {
    if (this.#scheduled || this.#state !== 'waiting') return;
    this.#scheduled = true;
    this.#clock.setImmediate(this.#wakeUp);
  }

  /** The store may hold frames that are not in the tail. */
  lookInStore(): void {
    this.#behind = true;
    this.wake();
  }

  /** Takes no more frames. */
  pause(): void {
    this.#paused = true;
    this.#clock.clearTimeout(this.#pollTimer);
  }

  stop(): void {
    this.#state = 'stopped';
    this.#ahead = [];
    this.#clock.clearTimeout(this.#pollTimer);
    this.#clock.clearTimeout(this.#retryTimer);
  }

  readonly #wakeUp = (): void => {
    this.#scheduled = false;
    if (this.#state === 'waiting') this.#work();
  };

  #is(state: State): boolean {
    return this.#state === state;
  }

  #work(): void {
    this.#state = 'working';
    if (!this.#full && this.#tail.resume(this.shard)) this.#behind = true;
    const turnEnds = this.#clock.now() + TURN_MS;
    while (this.#is('working') && !this.#paused) {
      const frame = this.#ahead[0] ?? this.#fromTail();
      if (frame === undefined) break;
      if (this.#full) {
        this.#state = 'waiting';
        this.#ahead[0] = frame;
        this.#host.flush();
        this.#windowFull();
        return;
      }
      this.#ahead.shift();
      this.#take(frame);
      if (this.#clock.now() >= turnEnds && this.#is('working')) {
        this.#host.flush();
        this.#state = 'waiting';
        this.wake();
        return;
      }
    }
    this.#host.flush();
    if (!this.#is('working')) return;
    this.#state = 'waiting';
    if (this.#paused) return;
    // A frame in the tail that is not the next one: what lies between is in the store.
    if (this.#tail.has(this.shard)) this.#behind = true;
    if (!this.#behind) return;
    if (this.#full) this.#windowFull();
    else this.#read();
  }

  get #full(): boolean {
    return this.#settler.windowBytes >= this.#host.windowBytes();
  }

  #windowFull(): void {
    this.#tail.suspend(this.shard);
    this.#host.windowFull();
  }

  #fromTail(): StoredFrame | undefined {
    const frame = this.#tail.take(this.shard, this.next);
    if (frame !== undefined) this.#behind = false;
    return frame;
  }

  #read(): void {
    this.#state = 'reading';
    this.#behind = false;
    this.#store.read(this.shard, this.next, this.#options.readMaxBytes).then(
      (frames) => {
        if (!this.#is('reading')) return;
        this.#answered();
        // A store may begin with the frame before `next`: only a look into it tells that it does not hold it.
        this.#ahead = frames.filter((frame) => frame.base > this.#lastBase);
        if (this.#ahead.length > 0) this.#behind = true;
        this.#work();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  /** Takes one frame: everything that may be wrong with it is looked at first. */
  #take(frame: StoredFrame): void {
    if (frame.base <= this.#lastBase) return;
    let decoded: DecodedFrame;
    try {
      decoded = decodeFrame(frame.bytes);
    } catch (error) {
      if (isSluiceError(error, 'FRAME_CORRUPT')) this.#takeCorrupt(frame, error);
      else this.#giveUp(error);
      return;
    }
    const end = frame.base + decoded.messages.length;
    if (end <= this.next) {
      this.#lastBase = Math.max(this.#lastBase, frame.base);
      return;
    }
    if (frame.base > this.next) {
      this.#check(frame, () => this.#skipMissing(frame.base));
      return;
    }
    const first = this.next - frame.base;
    const open = new OpenFrame(this.#ownership, frame.base, frame.bytes, decoded, first, this.#settler);
    try {
      this.#host.dispatch(open, decoded, first);
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    this.#passed(frame, end);
    this.#settler.append(open);
  }

  /** A hole in the offsets is a loss, unless it is another owner that trims: the lease decides. */
  #check(frame: StoredFrame, then: () => void): void {
    this.#state = 'checking';
    this.#ahead.unshift(frame);
    this.#host.confirmLease().then(
      (ours) => {
        if (!this.#is('checking')) return;
        this.#answered();
        // Not ours: the owner of this reader hears of it in its own way, and stops it.
        if (!ours) return;
        then();
        this.#work();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  #skipMissing(to: number): void {
    const from = this.next;
    this.#host.offsetsMissing(from, to - 1);
    this.#settler.append(new EmptySpan('missing', from, to - from, 0));
    this.next = to;
  }

  #takeCorrupt(frame: StoredFrame, error: SluiceError): void {
    const behind = this.#ahead[0];
    if (frame.base > this.next) {
      this.#check(frame, () => this.#skipMissing(frame.base));
    } else if (behind !== undefined) {
      this.#setAside(frame, behind.base - frame.base, error);
    } else {
      this.#state = 'checking';
      // What memory holds may be damaged where the store is not.
      this.#tail.drop(this.shard);
      examine(this.#store, this.shard, frame.base, this.#options.readMaxBytes).then(
        (suspect) => {
          if (!this.#is('checking')) return;
          this.#answered();
          this.#behind = true;
          if (suspect.frame !== undefined && suspect.corrupt) this.#setAside(suspect.frame, suspect.count, error);
          this.#work();
        },
        (cause: unknown) => {
          this.#behind = true;
          this.#failed(cause);
        },
      );
    }
  }

  #setAside(frame: StoredFrame, count: number, error: SluiceError): void {
    const end = frame.base + count;
    if (end > this.next) {
      this.#host.frameCorrupt(frame.base, count, error);
      this.#settler.append(new EmptySpan('corrupt', frame.base, count, this.next - frame.base, frame));
    }
    this.#passed(frame, Math.max(end, this.next));
  }

  #passed(frame: StoredFrame, next: number): void {
    this.#lastBase = frame.base;
    this.next = next;
    this.head = Math.max(this.head, next - 1);
  }

  #failed(cause: unknown): void {
    if (this.#is('stopped')) return;
    this.#state = 'waiting';
    const error =
      cause instanceof SluiceError ? cause : new SluiceError('STORE_UNAVAILABLE', errorText(cause), { cause });
    if (error.code === 'STORE_FORMAT') {
      this.#giveUp(error);
      return;
    }
    if (!this.#failing) {
      this.#failing = true;
      this.#host.readFault(error);
    }
    this.#attempts++;
    this.#state = 'checking';
    this.#retryTimer = this.#clock.setTimeout(
      () => {
        if (!this.#is('checking')) return;
        this.#behind = true;
        this.#work();
      },
      backoffMs(this.#attempts, this.#options.retryMinMs, RETRY_MAX_MS, this.#random),
    );
  }

  #answered(): void {
    this.#attempts = 0;
    if (!this.#failing) return;
    this.#failing = false;
    this.#host.readFault(undefined);
  }

  #giveUp(cause: unknown): void {
    this.stop();
    const error =
      cause instanceof SluiceError
        ? cause
        : new SluiceError('STORE_FORMAT', `a buffered frame cannot be mapped: ${errorText(cause)}`, { cause });
    this.#host.stopped(error);
  }

  #armPoll(): void {
    this.#nextAtPoll = this.next;
    this.#pollTimer = this.#clock.setTimeout(this.#poll, this.#options.pollMs);
  }

  /** Looks, where nothing has moved since the last time, whether a wake-up was lost or the log was replaced. */
  readonly #poll = (): void => {
    if (this.#is('stopped') || this.#paused) return;
    if (this.next !== this.#nextAtPoll || !this.#is('waiting')) {
      this.#armPoll();
      return;
    }
    const { next } = this;
    this.#store.stats(this.shard).then(
      ({ head }) => {
        if (this.#is('stopped')) return;
        this.head = Math.max(head, next - 1);
        this.#armPoll();
        if (this.next !== next) return;
        if (head + 1 < next) this.#host.rolledBack(head);
        else if (head >= next) this.lookInStore();
      },
      (error: unknown) => {
        if (this.#is('stopped')) return;
        this.#armPoll();
        if (this.#is('waiting')) this.#failed(error);
      },
    );
  };
}
