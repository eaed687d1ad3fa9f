/**
 * What the stations tell, heard in one place: it is logged once, here, kept for the status, and passed on to whoever embeds
 * sluice. Event names are stable: alerts are made of them.
 */
import type { CommitEvents } from './buffer/commit.ts';
import type { StoreEvents } from './buffer/store.ts';
import { errorText, type SluiceError } from './errors.ts';
import type { DeadLetterInfo, ForwardEvents } from './forward/events.ts';
import type { Denial } from './mqtt/access.ts';
import type { LoginRefusal } from './mqtt/events.ts';
import { LogSampler, type Logger } from './observe/log.ts';
import type { SchemaEvents } from './payload/registry/schemas.ts';
import type { DeadLetterStatus, RecentDeadLetter } from './status.ts';

/** What went wrong or came right again, for those who embed sluice. */
export interface Incident {
  /** Stable name, as in the log: e.g. `store.unavailable`, `kafka.paused`, `topic.fault`, `log.replaced`. */
  readonly event: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Hears what is to be measured when it happens. */
export interface Durations {
  appended(messages: number, bytes: number, appendMs: number, waitedMs: number): void;
  delivered(arrivedAt: number): void;
}

/** Routes and codes of dead letters that are counted apart: parked ones may name routes of long ago. */
const DEAD_LETTER_KINDS_MAX = 1_000;
const RECENT_DEAD_LETTERS_MAX = 100;
const REASON_MAX_CHARS = 500;

type Heard = ForwardEvents & CommitEvents & Pick<StoreEvents, 'availability'> & SchemaEvents;

export class Report implements Heard {
  readonly #log: Logger;
  readonly #pass: (incident: Incident) => void;
  readonly #sampler = new LogSampler();
  readonly #shardFaults = new Map<number, SluiceError>();
  /** What is wrong with Kafka as a whole; undefined: nothing. */
  kafkaError: string | undefined;
  /** Milliseconds since the epoch. */
  kafkaErrorSince: number | undefined;
  bufferErrorSince: number | undefined;
  readonly topicErrors = new Map<string, string>();
  /** By name, those the log keeps quiet included. */
  readonly events: Record<string, number> = {};
  readonly #deadLetters = new Map<string, { route: string; code: string; records: number }>();
  /** The newest last. */
  readonly #recentDeadLetters: RecentDeadLetter[] = [];
  readonly #durations: Durations;

  constructor(log: Logger, pass: (incident: Incident) => void, durations: Durations) {
    this.#log = log;
    this.#pass = pass;
    this.#durations = durations;
  }

  /** Why appends do not work now; undefined: they do. */
  get bufferError(): string | undefined {
    for (const error of this.#shardFaults.values()) return `${error.message} (${error.code})`;
    return undefined;
  }

  // ---- the way in ----

  frameCommitted(): void {
    // sluice.ts hands the frame to the forward side.
  }

  measured(messages: number, bytes: number, appendMs: number, waitedMs: number): void {
    this.#durations.appended(messages, bytes, appendMs, waitedMs);
  }

  health(shard: number, error: SluiceError | undefined): void {
    const wasWell = this.#shardFaults.size === 0;
    if (error === undefined) this.#shardFaults.delete(shard);
    else this.#shardFaults.set(shard, error);
    if (this.#shardFaults.size === 0) this.bufferErrorSince = undefined;
    else this.bufferErrorSince ??= Date.now();
    if (wasWell && error !== undefined) {
      const full = error.code === 'STORE_FULL';
      this.#say(
        'warn',
        full ? 'buffer.full' : 'store.fault',
        `nothing is acknowledged: ${error.message}`,
        fields(error, { shard }),
      );
    } else if (!wasWell && this.#shardFaults.size === 0) {
      this.#say('info', 'store.recovered', 'the buffer takes messages again', { shard });
    }
  }

  logReplaced(shard: number, missing: { from: number; to: number }): void {
    this.#say(
      'error',
      'log.replaced',
      `shard ${shard}: the log was emptied or rolled back; offsets ${missing.from} to ${missing.to} were committed and are not in it`,
      { shard, ...missing, code: 'LOG_REPLACED' },
    );
  }

  availability(available: boolean, reason: string): void {
    if (available) this.#say('info', 'store.connected', reason, {});
    else this.#say('warn', 'store.disconnected', reason, {});
  }

  // ---- the way out ----

  chunkDelivered(arrivedAt: number): void {
    this.#durations.delivered(arrivedAt);
  }

  leaseAcquired(shard: number, released: number): void {
    this.#log.debug({ event: 'lease.acquired', shard, released }, `forwarding shard ${shard}`);
  }

  leaseLost(shard: number, reason: string): void {
    this.#say('warn', 'lease.lost', `shard ${shard} is no longer forwarded here: ${reason}`, { shard, reason });
  }

  storeFault(shard: number, error: SluiceError | undefined): void {
    if (error === undefined)
      this.#log.info({ event: 'store.read.recovered', shard }, `shard ${shard} can be forwarded again`);
    else this.#sampled(`store.read.fault ${error.code}`, 'store.read.fault', error.message, fields(error, { shard }));
  }

  topicFault(topic: string, fault: { reason: string; message: string }): void {
    this.topicErrors.set(topic, `${fault.message} (${fault.reason})`);
    this.#say('warn', 'topic.fault', `${topic} cannot be written, its records wait: ${fault.message}`, {
      topic,
      reason: fault.reason,
      code: 'KAFKA_TOPIC',
    });
  }

  topicRecovered(topic: string, faultMs: number): void {
    this.topicErrors.delete(topic);
    this.#say('info', 'topic.recovered', `${topic} is written again after ${seconds(faultMs)}`, { topic, faultMs });
  }

  topicParked(shard: number, topic: string): void {
    const message = `${topic}: records of shard ${shard} are parked, so that other topics go on`;
    this.#say('warn', 'topic.parked', message, { shard, topic });
  }

  parkingFull(shard: number, topic: string): void {
    const message = `${topic}: no more may be parked of shard ${shard} (forward.parkingMaxBytes): it holds up the others until it works again`;
    this.#say('error', 'parking.full', message, { shard, topic });
  }

  topicUnparked(shard: number, topic: string): void {
    this.#say('info', 'topic.unparked', `${topic}: the parked records of shard ${shard} are delivered`, {
      shard,
      topic,
    });
  }

  parkedCorrupt(shard: number, topic: string, position: number, error: SluiceError): void {
    const message = `shard ${shard}: a parked entry of ${topic} is corrupt: ${error.message}`;
    this.#say('error', 'parked.corrupt', message, fields(error, { shard, topic, position }));
  }

  clusterPaused(reason: string, message: string): void {
    this.kafkaError = `${message} (${reason})`;
    this.kafkaErrorSince = Date.now();
    this.#say('warn', 'kafka.paused', `Kafka takes nothing, messages are safe in the buffer: ${message}`, {
      reason,
      code: 'KAFKA_CLUSTER',
    });
  }

  clusterResumed(pausedMs: number): void {
    this.kafkaError = undefined;
    this.kafkaErrorSince = undefined;
    this.#say('info', 'kafka.resumed', `Kafka takes records again after ${seconds(pausedMs)}`, { pausedMs });
  }

  frameCorrupt(shard: number, base: number, count: number, error: SluiceError): void {
    const message = `shard ${shard}: offsets ${base} to ${base + count - 1} are corrupt and set aside: ${error.message}`;
    this.#say('error', 'frame.corrupt', message, fields(error, { shard, base, count }));
  }

  offsetsMissing(shard: number, from: number, to: number, error: SluiceError): void {
    this.#say('error', 'offsets.missing', `shard ${shard}: offsets ${from} to ${to} are missing from the log`, {
      ...fields(error, { shard, from, to }),
    });
  }

  shardStopped(shard: number, error: SluiceError): void {
    this.#say(
      'fatal',
      'shard.stopped',
      `shard ${shard} is not forwarded any more: ${error.message}`,
      fields(error, { shard }),
    );
  }

  deadLetter(info: DeadLetterInfo): void {
    this.#countDeadLetter(info.route ?? '', info.code);
    this.#rememberDeadLetter(info);
    this.#sampled(`dead-letter ${info.route} ${info.code}`, 'record.dead-lettered', `dead letter: ${info.reason}`, {
      ...info,
    });
  }

  get deadLetters(): DeadLetterStatus[] {
    return [...this.#deadLetters.values()].map((each) => ({ ...each }));
  }

  /** The newest first. */
  recentDeadLetters(): RecentDeadLetter[] {
    return this.#recentDeadLetters.toReversed();
  }

  #rememberDeadLetter({ shard, offset, code, reason, route = '', topic = '' }: DeadLetterInfo): void {
    const at = new Date().toISOString();
    this.#recentDeadLetters.push({ at, shard, offset, route, topic, code, reason: reason.slice(0, REASON_MAX_CHARS) });
    if (this.#recentDeadLetters.length > RECENT_DEAD_LETTERS_MAX) this.#recentDeadLetters.shift();
  }

  #countDeadLetter(route: string, code: string): void {
    const other = '(other)';
    let kind = `${code} ${route}`;
    if (!this.#deadLetters.has(kind)) {
      if (this.#deadLetters.size >= DEAD_LETTER_KINDS_MAX) [kind, route, code] = [other, other, other];
      if (!this.#deadLetters.has(kind)) this.#deadLetters.set(kind, { route, code, records: 0 });
    }
    this.#deadLetters.get(kind)!.records++;
  }

  schemaReady(subject: string, { schemaId, version }: { schemaId: number; version: number }): void {
    this.#say('info', 'schema.ready', `schema ${subject}, version ${version}, is used`, { subject, schemaId, version });
  }

  schemaUnavailable(subject: string, error: SluiceError, waits: boolean): void {
    const effect = waits ? 'what needs it waits in the buffer' : 'the version that is known is used';
    const message = `schema ${subject} cannot be had, ${effect}: ${error.message}`;
    this.#say('warn', 'schema.unavailable', message, fields(error, { subject, waits }));
  }

  // ---- anything else ----

  /** A flapping device writes a line and a count. */
  connectionFailed(clientId: string, remoteAddress: string, error: Error): void {
    this.#count('connection.failed');
    const suppressed = this.#sampler.take(`connection ${clientId} ${error.message}`);
    if (suppressed === undefined) return;
    const more = {
      ...(suppressed === 0 ? {} : { suppressed }),
      // Of the MQTT specification, where the client broke a rule of it.
      ...('clause' in error ? { clause: error.clause } : {}),
    };
    this.#log.info(
      { event: 'connection.failed', clientId, remoteAddress, error: error.message, ...more },
      `connection closed: ${error.message}`,
    );
  }

  /** Guessing at passwords is one line and a count per address. */
  loginRefused(refusal: LoginRefusal): void {
    const { remoteAddress, refused, reason } = refusal;
    this.#count('login.refused');
    const suppressed = this.#sampler.take(`login ${remoteAddress} ${refused}`);
    if (suppressed === undefined) return;
    const more = suppressed === 0 ? {} : { suppressed };
    this.#log.info({ event: 'login.refused', ...refusal, ...more }, `may not connect: ${reason}`);
  }

  /** A client that goes on with what it may not do is one line and a count per rule. */
  denied(denial: Denial): void {
    const { clientId, action, topic, rule } = denial;
    this.#count('access.denied');
    const suppressed = this.#sampler.take(`denied ${action} ${rule} ${clientId}`);
    if (suppressed === undefined) return;
    const more = suppressed === 0 ? {} : { suppressed };
    const message = `${clientId} may not ${action === 'will' ? 'have a will' : action} ${topic}: ${rule}`;
    this.#log.info({ event: 'access.denied', ...denial, ...more }, message);
  }

  /** A fault that comes again and again is one line and a count. */
  fault(event: string, error: unknown, more: Readonly<Record<string, unknown>> = {}): void {
    this.#sampled(`${event} ${errorText(error)}`, event, errorText(error), { ...more, error: errorText(error) });
  }

  #sampled(key: string, event: string, message: string, more: Readonly<Record<string, unknown>>): void {
    const suppressed = this.#sampler.take(key);
    if (suppressed === undefined) this.#count(event);
    else this.#say('warn', event, message, suppressed === 0 ? more : { ...more, suppressed });
  }

  #say(
    level: 'info' | 'warn' | 'error' | 'fatal',
    event: string,
    message: string,
    more: Readonly<Record<string, unknown>>,
  ): void {
    this.#count(event);
    this.#log[level]({ event, ...more }, message);
    this.#pass({ event, message, fields: more });
  }

  #count(event: string): void {
    this.events[event] = (this.events[event] ?? 0) + 1;
  }
}

function fields(error: SluiceError, more: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    code: error.code,
    ...more,
    ...(error.cause === undefined ? {} : { cause: errorText(error.cause) }),
    hint: error.hint,
  };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
