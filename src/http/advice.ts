/** What is wrong now and what to do about it, in words, for somebody who has not opened a log. */
import type { RecentDeadLetter, SluiceStatus } from '../status.ts';

export type Severity = 'critical' | 'warning' | 'notice';

export interface Advice {
  /** Stable while the same thing is wrong. */
  readonly id: string;
  /** critical: nothing is acknowledged, something is lost, or soon will be. notice: it works, and could be better. */
  readonly severity: Severity;
  readonly what: string;
  readonly todo: string;
}

/** Each part of the path of a message in a few words. */
export interface Words {
  readonly listeners: string;
  readonly buffer: string;
  readonly kafka: string;
}

/** Topics, shards and weaknesses that are told one by one. */
const EACH_MAX = 5;
const FILLING = 0.7;
const LATE_MS = 300_000;
const RECENT_MS = 600_000;
/** Events that mean that the store has lost what was acknowledged. */
const LOSSES = ['log.replaced', 'frame.corrupt', 'offsets.missing', 'parked.corrupt'] as const;

/** The gravest first. */
export function adviceOf(status: SluiceStatus, recent: readonly RecentDeadLetter[], now: number): Advice[] {
  return [
    ...processAdvice(status),
    ...bufferAdvice(status, now),
    ...kafkaAdvice(status, now),
    ...topicAdvice(status),
    ...lossAdvice(status),
    ...deadLetterAdvice(recent, now),
    ...weaknessAdvice(status),
  ].sort((a, b) => ranks[a.severity] - ranks[b.severity]);
}

const ranks: Readonly<Record<Severity, number>> = { critical: 0, warning: 1, notice: 2 };

export function wordsOf(status: SluiceStatus, now: number): Words {
  const { listeners, buffer, kafka, ledger, clients } = status;
  const open = listeners.filter(({ name, accepting }) => accepting && !name.startsWith('http')).length;
  const waiting = kafka.lanes.filter(({ faultMs }) => faultMs !== undefined).length;
  const lag = oldestMs(status, now);
  const buffered = `${messages(ledger.buffered)} ${ledger.buffered === 1 ? 'waits' : 'wait'}`;
  return {
    listeners: `${count(clients, 'client')} on ${count(open, 'listener')}`,
    buffer:
      buffer.error === undefined
        ? ledger.buffered === 0
          ? 'Takes messages; nothing waits'
          : `Takes messages; ${buffered}${lag === undefined || lag < 5_000 ? '' : `, the oldest for ${duration(lag)}`}`
        : `Takes nothing${since(buffer.errorSince, now)}: nothing is acknowledged`,
    kafka:
      kafka.error !== undefined
        ? `${cause(kafka.error)}${since(kafka.errorSince, now)}; ${messages(ledger.buffered)} ${ledger.buffered === 1 ? 'is' : 'are'} safe in the buffer`
        : kafka.failingTopics > 0 || waiting > 0
          ? `Takes records, but not for ${count(Math.max(kafka.failingTopics, 1), 'topic')}`
          : 'Takes records',
  };
}

function processAdvice({ state, listeners, buffer }: SluiceStatus): Advice[] {
  const advice: Advice[] = [];
  if (state !== 'running')
    advice.push({
      id: 'state',
      severity: 'critical',
      what: `sluice is ${state}: it takes no messages.`,
      todo: 'If nobody stopped it on purpose, look at the last lines of its log and start it again.',
    });
  for (const { name, url, accepting } of listeners)
    if (!accepting && state === 'running')
      advice.push({
        id: `listener ${name}`,
        severity: 'critical',
        what: `The listener ${name} (${url}) accepts no connections.`,
        todo: 'Restart sluice; if it happens again, its log says why.',
      });
  const unowned = buffer.shards.filter(({ owner }) => owner === undefined).map(({ shard }) => shard);
  if (unowned.length > 0)
    advice.push({
      id: 'unowned',
      severity: 'critical',
      what: `Nobody delivers shard ${unowned.join(', ')}: its messages are taken and kept, and do not reach Kafka.`,
      todo: 'For a few seconds after a process has ended this is normal. If it stays, shard.stopped in the log has the reason.',
    });
  return advice;
}

function bufferAdvice(status: SluiceStatus, now: number): Advice[] {
  const { buffer, kafka } = status;
  const advice: Advice[] = [];
  if (buffer.error !== undefined) {
    const full = buffer.error.includes('STORE_FULL');
    advice.push({
      id: 'buffer',
      severity: 'critical',
      what: `Nothing is acknowledged${since(buffer.errorSince, now)}: ${buffer.error}. Devices keep their messages and send them again.`,
      todo: full
        ? 'Bring Kafka back: the buffer drains by itself. Or raise buffer.maxBytes, where there is disk or memory for it, and restart.'
        : `Look at the ${buffer.store === 'redis' ? 'Redis server: is it up, reachable, with free memory and disk' : 'disk of the data directory: is it full, read-only, failing'}? It goes on by itself.`,
    });
  }
  const filled = buffer.maxBytes > 0 ? buffer.bytes / buffer.maxBytes : 0;
  if (filled > FILLING)
    advice.push({
      id: 'filling',
      severity: 'warning',
      what: `The buffer is ${Math.round(filled * 100)}% full. When it is full, devices are refused, and nothing is dropped but QoS 0.`,
      todo: 'Bring Kafka back or make it faster (more partitions); or raise buffer.maxBytes and restart.',
    });
  const lag = oldestMs(status, now);
  if (kafka.error === undefined && kafka.failingTopics === 0 && lag !== undefined && lag > LATE_MS)
    advice.push({
      id: 'late',
      severity: 'warning',
      what: `The oldest message has waited for ${duration(lag)}, although Kafka takes records.`,
      todo: 'More comes in than goes out: give the topics more partitions, or look at the latency of the Kafka brokers.',
    });
  return advice;
}

function kafkaAdvice({ kafka, ledger }: SluiceStatus, now: number): Advice[] {
  if (kafka.error === undefined) return [];
  return [
    {
      id: 'kafka',
      severity: 'warning',
      what: `${cause(kafka.error)}${since(kafka.errorSince, now)}; ${messages(ledger.buffered)} ${ledger.buffered === 1 ? 'is' : 'are'} safe in the buffer. ${sentence(kafka.error)}`,
      todo: `Nothing is lost, and delivery goes on by itself. Look at the brokers (${kafka.brokers.join(', ')}): are they up, and is the way to them open? \`sluice doctor\` tries each step.`,
    },
  ];
}

function topicAdvice({ kafka, buffer }: SluiceStatus): Advice[] {
  const failing = new Map<string, { error: string; queued: number }>();
  for (const { topic, error, queued } of kafka.lanes) {
    if (error === undefined) continue;
    const known = failing.get(topic);
    failing.set(topic, { error, queued: queued + (known?.queued ?? 0) });
  }
  const parked = buffer.shards.flatMap((shard) => shard.parked);
  return [...failing].slice(0, EACH_MAX).map(([topic, { error, queued }]) => {
    const own = parked.filter((each) => each.topic === topic);
    const waiting = queued + own.reduce((sum, each) => sum + each.messages, 0);
    const full = own.some((each) => each.full);
    return {
      id: `topic ${topic}`,
      severity: full ? 'critical' : 'warning',
      what: `The Kafka topic ${topic} cannot be written: ${error}. ${messages(waiting)} of it wait${full ? ', and it holds up the others' : '; other topics go on'}.`,
      todo: 'Create the topic, or let sluice write it (ACL: Write, Describe), or bring back the leader of its partitions. Nothing else is needed.',
    };
  });
}

function lossAdvice({ ledger, totals, buffer }: SluiceStatus): Advice[] {
  const advice: Advice[] = [];
  if (ledger.imbalance !== 0)
    advice.push({
      id: 'imbalance',
      severity: 'critical',
      what: `The ledger is out of balance by ${messages(Math.abs(ledger.imbalance))}.`,
      todo: 'This is a fault of sluice, or the counters in the store were changed by hand. Keep the data directory and the log, and report it.',
    });
  const lost = LOSSES.filter((event) => (totals.events[event] ?? 0) > 0);
  const setAside = buffer.shards.reduce((sum, shard) => sum + shard.setAside, 0);
  if (lost.length > 0 || setAside > 0)
    advice.push({
      id: 'loss',
      severity: 'critical',
      what: `The store has lost what it had acknowledged${setAside > 0 ? `; ${count(setAside, 'corrupt frame')} set aside` : ''} (${lost.join(', ') || 'before this start'}).`,
      todo: 'The log names shard and offsets. Look for what happened to the store: a disk that fails, a restored snapshot, Redis without its append-only file.',
    });
  return advice;
}

function deadLetterAdvice(recent: readonly RecentDeadLetter[], now: number): Advice[] {
  const fresh = recent.filter(({ at }) => now - Date.parse(at) < RECENT_MS);
  const [newest] = fresh;
  if (newest === undefined) return [];
  const more = fresh.length >= 100 ? 'at least ' : '';
  return [
    {
      id: 'dead-letters',
      severity: 'warning',
      what: `${capital(more)}${count(fresh.length, 'record')} became dead letters in the last ten minutes. The newest (${newest.code}): ${sentence(newest.reason)}`,
      todo: 'They are kept in the dead-letter topic. Correct the route, the schema or the device, then replay them under Dead letters.',
    },
  ];
}

function weaknessAdvice({ buffer, kafka }: SluiceStatus): Advice[] {
  const weak = [...new Set([...buffer.weak, ...kafka.weak])];
  if (weak.length === 0) return [];
  const rest = weak.length > EACH_MAX ? ` And ${weak.length - EACH_MAX} more.` : '';
  return [
    {
      id: 'weak',
      severity: 'notice',
      what: `Weaker than promised in ${count(weak.length, 'point')}`,
      todo: `${weak.slice(0, EACH_MAX).map(sentence).map(capital).join(' ')}${rest}`,
    },
  ];
}

function oldestMs({ buffer }: SluiceStatus, now: number): number | undefined {
  const times = buffer.shards.flatMap(({ oldestAt }) => (oldestAt === undefined ? [] : [oldestAt]));
  return times.length === 0 ? undefined : Math.max(0, now - Math.min(...times));
}

/** A fault of the way to Kafka, or one that Kafka itself tells. */
function cause(error: string): string {
  return /Kafka broker|ECONN|EHOST|ENET|ENOTFOUND|ETIMEDOUT|REQUEST_FAILED|CONNECT/.test(error)
    ? 'Kafka unreachable'
    : 'Kafka takes nothing';
}

function since(at: number | undefined, now: number): string {
  return at === undefined ? '' : ` for ${duration(now - at)}`;
}

/** `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600), Math.floor(seconds / 86_400)];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function messages(amount: number): string {
  return count(amount, 'message');
}

function count(amount: number, what: string): string {
  return `${amount.toLocaleString('en-US')} ${what}${amount === 1 ? '' : 's'}`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
