/**
 * /metrics. Counters and gauges are read from what the stations count anyway, when somebody scrapes; only durations have to be
 * observed when they happen: once per append, per Kafka request and per chunk, never per message.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { DurationCounts, Durations, SluiceStatus } from '../status.ts';
import { ProcessReadings } from './process.ts';
import type { Reading } from './reading.ts';
import { statusReadings } from './status-readings.ts';

const LATENCY_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Messages may wait for as long as Kafka is away. */
const DELIVERY_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600, 86_400];
const MESSAGES_BUCKETS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000];
const BYTES_BUCKETS = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

export class Metrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #status: () => Promise<SluiceStatus>;
  readonly #registry = new Registry();
  readonly #process = new ProcessReadings();
  readonly #appendSeconds: Histogram;
  readonly #appendMessages: Histogram;
  readonly #appendBytes: Histogram;
  readonly #acknowledgeSeconds: Histogram;
  readonly #requestSeconds: Histogram;
  readonly #deliverySeconds: Histogram;
  #rendering: Promise<string> | undefined;

  constructor(status: () => Promise<SluiceStatus>) {
    this.#status = status;
    const histogram = (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ name, help, buckets, registers: [this.#registry] });
    this.#appendSeconds = histogram(
      'sluice_append_duration_seconds',
      'Time the buffer store took to commit an append, seconds.',
      LATENCY_BUCKETS_S,
    );
    this.#appendMessages = histogram('sluice_append_messages', 'Messages in one append.', MESSAGES_BUCKETS);
    this.#appendBytes = histogram('sluice_append_bytes', 'Bytes of one append.', BYTES_BUCKETS);
    this.#acknowledgeSeconds = histogram(
      'sluice_acknowledge_duration_seconds',
      'From the arrival of the oldest message of an append to its acknowledgement, seconds.',
      LATENCY_BUCKETS_S,
    );
    this.#requestSeconds = histogram(
      'sluice_kafka_request_duration_seconds',
      'Time a Kafka broker took to answer a produce request, seconds.',
      LATENCY_BUCKETS_S,
    );
    this.#deliverySeconds = histogram(
      'sluice_delivery_duration_seconds',
      'From the arrival of the oldest record of a chunk to its confirmation by Kafka, seconds.',
      DELIVERY_BUCKETS_S,
    );
  }

  /** An append was committed. */
  appended(messages: number, bytes: number, appendMs: number, waitedMs: number): void {
    this.#appendSeconds.observe(appendMs / 1e3);
    this.#acknowledgeSeconds.observe(waitedMs / 1e3);
    // One that only changes QoS 2 packet ids.
    if (messages === 0) return;
    this.#appendMessages.observe(messages);
    this.#appendBytes.observe(bytes);
  }

  /** A Kafka broker answered. */
  requested(ms: number): void {
    this.#requestSeconds.observe(ms / 1e3);
  }

  /** A chunk is in Kafka. Both times on the wall clock, which may have been set back. */
  delivered(arrivedAt: number, now = Date.now()): void {
    this.#deliverySeconds.observe(Math.max(0, now - arrivedAt) / 1e3);
  }

  /** The same histograms as numbers. */
  async durations(): Promise<Durations> {
    return {
      append: await countsOf(this.#appendSeconds),
      acknowledge: await countsOf(this.#acknowledgeSeconds),
      kafkaRequest: await countsOf(this.#requestSeconds),
      delivery: await countsOf(this.#deliverySeconds),
    };
  }

  /** In Prometheus' text format. Who asks while it is made gets the same. */
  render(): Promise<string> {
    return (this.#rendering ??= this.#render().finally(() => (this.#rendering = undefined)));
  }

  /** Begins to measure the event loop. */
  open(): void {
    this.#process.open();
  }

  close(): void {
    this.#process.close();
  }

  async #render(): Promise<string> {
    const status = await this.#status();
    // Made anew each time: what is gone since the last scrape (a lane, an error that is over) is not to stay.
    const now = new Registry();
    for (const reading of [...statusReadings(status, Date.now()), ...this.#process.read()]) register(now, reading);
    return `${await now.metrics()}\n${await this.#registry.metrics()}`;
  }
}

/** prom-client gives the buckets as they are written: each with all that is below it. */
async function countsOf(histogram: Histogram): Promise<DurationCounts> {
  const { values } = await histogram.get();
  const buckets = values.filter(({ metricName }) => metricName?.endsWith('_bucket') === true);
  return {
    boundsSeconds: buckets.map(({ labels }) => Number(labels['le'])).filter(Number.isFinite),
    counts: buckets.map(({ value }, index) => value - (buckets[index - 1]?.value ?? 0)),
  };
}

function register(registry: Registry, { name, help, type, samples }: Reading): void {
  const labelNames = Object.keys(samples[0]?.labels ?? {});
  const options = { name, help, labelNames, registers: [registry] };
  const metric = type === 'counter' ? new Counter(options) : new Gauge(options);
  for (const { value, labels = {} } of samples) metric.inc(labels, value);
}
