/**
 * Holds everything back while the Kafka cluster is away.
 *
 *     open ──a cluster fault, and nothing confirmed since that try began──> paused ──any answer of Kafka──> open
 *
 * While it is paused, what failed and what has not been tried yet take turns as the probe: one try at a time, not thousands. A
 * cluster fault that comes while others are being confirmed is one broker's: it delays only what met it.
 */
import type { KafkaFault } from '../kafka/sink.ts';
import { backoffMs, type Clock, type TimerHandle } from './clock.ts';
import type { ForwardOptions } from './options.ts';

/** Something that met a cluster fault and can try again. */
export interface Probe {
  /** Tries now, although the gate is closed. later: it may not try at this moment. gone: it has nothing left to try. */
  probe(): 'tried' | 'later' | 'gone';
  /** The gate is open again. */
  resume(): void;
}

export interface ClusterPause {
  readonly reason: string;
  readonly message: string;
  /** Monotonic. */
  readonly since: number;
}

export interface ClusterGateEvents {
  clusterPaused(reason: string, message: string): void;
  clusterResumed(pausedMs: number): void;
}

export class ClusterGate {
  readonly #options: ForwardOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #events: ClusterGateEvents;
  readonly #untried: () => Probe | undefined;
  readonly #waiting = new Set<Probe>();
  #pause: ClusterPause | undefined;
  #answeredAt = -Infinity;
  #attempts = 0;
  #timer: TimerHandle | undefined;
  #stopped = false;

  /** `untried` gives, once, something that could be sent and has not met the fault. */
  constructor(
    options: ForwardOptions,
    clock: Clock,
    random: () => number,
    events: ClusterGateEvents,
    untried: () => Probe | undefined,
  ) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#events = events;
    this.#untried = untried;
  }

  get open(): boolean {
    return this.#pause === undefined;
  }

  get pause(): ClusterPause | undefined {
    return this.#pause;
  }

  /** A try that began at `triedAt` met `fault`. true: `probe` waits for the cluster; false: the rest of the cluster works. */
  failed(probe: Probe, fault: KafkaFault, triedAt: number): boolean {
    if (this.#pause === undefined && this.#answeredAt >= triedAt) return false;
    if (this.#pause === undefined) {
      this.#pause = { reason: fault.reason, message: fault.message, since: this.#clock.now() };
      this.#attempts = 0;
      this.#events.clusterPaused(fault.reason, fault.message);
    }
    // A set keeps the order of insertion: what has just failed goes behind the others.
    this.#waiting.delete(probe);
    this.#waiting.add(probe);
    if (this.#timer === undefined) this.#arm();
    return true;
  }

  /** Kafka answered, if only with a fault of a record or a topic. */
  answered(): void {
    this.#answeredAt = this.#clock.now();
    if (this.#pause !== undefined) this.#open();
  }

  /** What waits here has gone: it is not tried again. */
  forget(probe: Probe): void {
    this.#waiting.delete(probe);
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#attempts++;
    const { retryMinMs, probeMaxMs } = this.#options;
    this.#timer = this.#clock.setTimeout(
      this.#tryNext,
      backoffMs(this.#attempts, retryMinMs, probeMaxMs, this.#random),
    );
  }

  readonly #tryNext = (): void => {
    this.#timer = undefined;
    if (this.#stopped || this.#pause === undefined) return;
    const probes = [...this.#waiting];
    // Every other time: what failed may all be of one broker, and the others well.
    const untried = this.#attempts % 2 === 0 ? this.#untried() : undefined;
    if (untried !== undefined) probes.unshift(untried);
    for (const probe of probes) {
      switch (probe.probe()) {
        case 'tried':
          // It comes back through failed() or answered().
          return;
        case 'gone':
          this.#waiting.delete(probe);
          break;
        case 'later':
          this.#waiting.add(probe);
          break;
      }
    }
    // Where whatever had met the fault is gone (leases lost), the next record finds out.
    if (this.#waiting.size === 0) this.#open();
    else this.#arm();
  };

  #open(): void {
    const pause = this.#pause;
    if (pause === undefined) return;
    this.#pause = undefined;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#events.clusterResumed(this.#clock.now() - pause.since);
    for (const probe of waiting) probe.resume();
  }
}
