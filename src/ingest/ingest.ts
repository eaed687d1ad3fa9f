/**
 * Admission: the one function that every message passes, whether it comes over MQTT, as a will, over HTTP or from the
 * embedding program.
 */
import { DuplicateWaiter, type CommitWaiter, type Cursor, type GroupCommit } from '../buffer/commit.ts';
import { shardOf } from '../buffer/shard.ts';
import { SluiceError } from '../errors.ts';
import type { Message } from '../message.ts';
import type { RouteSet } from '../payload/index.ts';
import { RejectingRoutes } from './rejecting-routes.ts';
import { OnceKeys } from './once-keys.ts';
import { Publisher, type Access, type Admission } from './admission.ts';
import { Throttles, type RateLimits } from './throttle.ts';
import { noPublishLimits, publishFault, type Forbidden, type Publication, type PublishLimits } from './permission.ts';

/** What a step says: undefined = go on with the next one. */
type Verdict = 'appended' | 'answer-in-turn' | 'refused' | 'waiting' | undefined;

/**
 * QoS 2 publishes of one connection that wait for their PUBREL. MQTT 3.1.1 knows no Receive Maximum, so the packet id space would be the
 * only bound of what a client makes us remember.
 */
const QOS2_UNRELEASED_MAX = 10_000;

export interface IngestCounters {
  /** Messages that matched no route: ordinary MQTT. */
  unrouted: number;
  forbidden: number;
  /** Messages that a route with `onInvalid: reject` could not use. */
  invalid: number;
  qos2Duplicates: number;
  /** Messages that came faster than their client may publish. */
  throttled: number;
}

export interface IngestOptions {
  readonly commits: readonly GroupCommit[];
  readonly routes: RouteSet;
  readonly limits?: PublishLimits;
  readonly rates?: RateLimits;
}

export class Ingest {
  readonly #commits: readonly GroupCommit[];
  #router: RouteSet['router'];
  #rejecting: RejectingRoutes | undefined;
  readonly #onceKeys = new OnceKeys();
  #limits: PublishLimits;
  readonly #throttles: Throttles;
  readonly counters: IngestCounters = { unrouted: 0, forbidden: 0, invalid: 0, qos2Duplicates: 0, throttled: 0 };

  constructor(options: IngestOptions) {
    this.#commits = options.commits;
    this.#router = options.routes.router;
    this.#rejecting = RejectingRoutes.of(options.routes);
    this.#limits = options.limits ?? noPublishLimits;
    this.#throttles = new Throttles(options.rates ?? { messagesPerSecond: 0, bytesPerSecond: 0, overRate: 'slow' });
  }

  /** From the next message on. What was admitted by the old ones goes to Kafka by the new ones, or to the dead letters. */
  useRoutes(routes: RouteSet): void {
    this.#router = routes.router;
    this.#rejecting = RejectingRoutes.of(routes);
  }

  /** For what comes from now on. */
  limit(limits: PublishLimits, rates: RateLimits): void {
    this.#limits = limits;
    this.#throttles.limits = rates;
  }

  /** A client has connected: from now on it may publish as fast as the limits say. */
  arrived(publisher: Publisher): void {
    publisher.throttle = this.#throttles.arrive(publisher.clientId);
  }

  /** Its connection is gone. Returns what waited for its turn, which nobody acknowledges any more. */
  departed(publisher: Publisher): readonly Admission[] {
    const { throttle } = publisher;
    if (throttle === undefined) return [];
    publisher.throttle = undefined;
    return this.#throttles.depart(publisher.clientId, throttle);
  }

  /** What would be said of it: for wills, which are sent later than they are announced. */
  fault(publication: Publication, access: Access | undefined): Forbidden | undefined {
    return publishFault(publication, access, this.#limits);
  }

  /** The steps of admission, in order. The first that has a verdict ends it. */
  readonly #steps: readonly ((admission: Admission) => Verdict)[] = [
    // First, so that what is refused is answered in its turn, too, and counts.
    (admission) => this.#throttle(admission),
    (admission) => this.#authorize(admission),
    (admission) => this.#once(admission),
    (admission) => this.#route(admission),
    (admission) => this.#validate(admission),
    (admission) => this.#append(admission),
  ];

  publisher(clientId: string, user: string, cleanStart: boolean): Publisher {
    return new Publisher(clientId, user, shardOf(clientId, this.#commits.length), cleanStart);
  }

  /** Synchronous up to the buffer: the order of calls is the order in the log. */
  admit(admission: Admission): void {
    const publisher = admission.publisher;
    publisher.pending++;
    if (publisher.refused) {
      admission.refused(afterRefusal());
      return;
    }
    this.#run(admission, 0);
  }

  #run(admission: Admission, from: number): void {
    for (let index = from; index < this.#steps.length; index++) {
      const verdict = this.#steps[index]?.(admission);
      if (verdict === undefined) continue;
      if (verdict === 'answer-in-turn') this.#answerInTurn(admission);
      return;
    }
  }

  /**
   * Puts a message in again that was a dead letter, with its cursor in the same commit. It is not asked for its rights: an
   * operator has it put in.
   */
  replay(message: Message, cursor: Cursor, waiter: CommitWaiter): void {
    this.#commitOf(shardOf(message.clientId, this.#commits.length)).append(message, waiter, undefined, cursor);
  }

  /** A message on this topic would have a route. */
  routed(topic: string): boolean {
    return this.#router.match(topic).length > 0;
  }

  #throttle(admission: Admission): Verdict {
    const { throttle } = admission.publisher;
    if (throttle === undefined || throttle.take(admission)) return undefined;
    this.counters.throttled++;
    if (admission.neverWaits || this.#throttles.limits.overRate === 'disconnect') {
      admission.refused(
        new SluiceError('RATE_EXCEEDED', `more ${throttle.exceeded} per second than one client may send`),
      );
      return 'refused';
    }
    throttle.wait(admission, this.#resume);
    return 'waiting';
  }

  readonly #resume = (admission: Admission): void => {
    if (admission.publisher.refused) admission.refused(afterRefusal());
    else this.#run(admission, 1);
  };

  /** PUBREL came: forgets the id durably, before PUBCOMP. */
  releaseQos2(publisher: Publisher, packetId: number, waiter: CommitWaiter): void {
    publisher.qos2.delete(packetId);
    this.#commit(publisher).removeQos2({ clientId: publisher.clientId, packetId }, waiter);
  }

  /** The session ended: its QoS 2 ids mean nothing any more. */
  forgetQos2(publisher: Publisher, waiter: CommitWaiter): void {
    publisher.qos2.clear();
    this.#commit(publisher).clearQos2(publisher.clientId, waiter);
  }

  #authorize(admission: Admission): Verdict {
    const forbidden = publishFault(admission.message, admission.publisher.access, this.#limits);
    if (forbidden === undefined) return undefined;
    this.counters.forbidden++;
    admission.forbidden = forbidden;
    return 'answer-in-turn';
  }

  /** A QoS 2 publish that this connection brought before is acknowledged again, and nothing else [MQTT-4.3.3-2]. */
  #once(admission: Admission): Verdict {
    const packetId = admission.qos2PacketId;
    if (packetId === undefined) return undefined;
    const { publisher } = admission;
    if (publisher.qos2.has(packetId)) {
      this.counters.qos2Duplicates++;
      this.#commit(publisher).barrier(new DuplicateWaiter(admission));
      return 'appended';
    }
    if (publisher.qos2.size >= QOS2_UNRELEASED_MAX) {
      const what = `${publisher.clientId} has ${QOS2_UNRELEASED_MAX} QoS 2 publishes that it has not released`;
      admission.refused(new SluiceError('TOO_MANY_UNRELEASED', what));
      return 'refused';
    }
    publisher.qos2.add(packetId);
    if (publisher.qos2ClearFirst) {
      publisher.qos2ClearFirst = false;
      this.#commit(publisher).clearQos2(publisher.clientId, ignore);
    }
    return undefined;
  }

  #route(admission: Admission): Verdict {
    if (this.#router.match(admission.message.topic).length > 0) return undefined;
    this.counters.unrouted++;
    admission.unrouted = true;
    if (admission.qos2PacketId === undefined) return 'answer-in-turn';
    const { clientId } = admission.publisher;
    this.#commit(admission.publisher).addQos2({ clientId, packetId: admission.qos2PacketId }, admission);
    return 'appended';
  }

  /** What a route that rejects could not use is refused before it is acknowledged. */
  #validate(admission: Admission): Verdict {
    const reason = this.#rejecting?.refusal(admission.message);
    if (reason === undefined) return undefined;
    this.counters.invalid++;
    admission.forbidden = 'invalid-payload';
    admission.forbiddenDetail = reason;
    // A PUBREC with an error ends the handshake: the packet id is free again [MQTT-4.3.3].
    if (admission.qos2PacketId !== undefined) admission.publisher.qos2.delete(admission.qos2PacketId);
    return 'answer-in-turn';
  }

  #append(admission: Admission): Verdict {
    if (admission.onceKey !== undefined) return this.#appendOnce(admission, admission.onceKey);
    this.#commit(admission.publisher).append(admission.message, admission, admission.qos2PacketId);
    return 'appended';
  }

  #appendOnce(admission: Admission, key: string): Verdict {
    const { publisher, message } = admission;
    const commit = this.#commit(publisher);
    const ids = this.#onceKeys.idsOf(commit, publisher.shard, `${publisher.user}\0${publisher.clientId}`, key);
    if (ids === undefined) {
      admission.refused(new SluiceError('TOO_MANY_REQUESTS', 'too many idempotency keys within ten minutes'));
      return 'refused';
    }
    commit.append(message, admission, ids);
    return 'appended';
  }

  /** Nothing to store: answered at once, unless earlier messages of the publisher still wait for their answer. */
  #answerInTurn(admission: Admission): void {
    if (admission.publisher.pending === 1) admission.committed(false);
    else this.#commit(admission.publisher).barrier(admission);
  }

  #commit(publisher: Publisher): GroupCommit {
    return this.#commitOf(publisher.shard);
  }

  #commitOf(shard: number): GroupCommit {
    const commit = this.#commits[shard];
    if (commit === undefined) throw new RangeError(`no shard ${shard}`);
    return commit;
  }
}

function afterRefusal(): SluiceError {
  return new SluiceError('STORE_UNAVAILABLE', 'an earlier message of this connection was refused');
}

/** The publish that comes with it is refused along with it, and its connection closed. */
const ignore: CommitWaiter = { committed() {}, refused() {}, dropped() {} };
