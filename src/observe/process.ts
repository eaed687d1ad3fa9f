/**
 * What the process takes of the machine, under the names that Prometheus' client libraries give it. Read when asked: nothing
 * runs between two scrapes but the histogram of the event loop's delay, which the runtime keeps.
 */
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import type { Reading } from './reading.ts';

/** The histogram measures a timer of this period: it is no delay. */
const RESOLUTION_MS = 10;

export class ProcessReadings {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  open(): void {
    this.#delay.enable();
  }

  close(): void {
    this.#delay.disable();
  }

  /** The delay is that since the last call: with two scrapers each sees a part. */
  read(): Reading[] {
    const { user, system } = process.cpuUsage();
    const memory = process.memoryUsage();
    const delay = this.#delay;
    const seconds = (nanoseconds: number): number => {
      const ms = nanoseconds / 1e6 - RESOLUTION_MS;
      return Number.isFinite(ms) ? Math.max(0, ms) / 1e3 : 0;
    };
    const quantiles: [number, string][] = [
      [delay.percentile(50), '0.5'],
      [delay.percentile(99), '0.99'],
      [delay.max, '1'],
    ];
    const readings: Reading[] = [
      counter('process_cpu_user_seconds_total', 'CPU time in user mode, seconds.', user / 1e6),
      counter('process_cpu_system_seconds_total', 'CPU time in kernel mode, seconds.', system / 1e6),
      gauge('process_resident_memory_bytes', 'Resident set size, bytes.', memory.rss),
      gauge('process_start_time_seconds', 'Start of the process, seconds since the epoch.', startedAt),
      gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use, bytes.', memory.heapUsed),
      gauge('nodejs_heap_size_total_bytes', 'JavaScript heap, bytes.', memory.heapTotal),
      gauge('nodejs_external_memory_bytes', 'Memory of buffers outside of the heap, bytes.', memory.external),
      {
        name: 'nodejs_eventloop_delay_seconds',
        help: 'How late the event loop is, by quantile since the last scrape, seconds.',
        type: 'gauge',
        samples: quantiles.map(([value, quantile]) => ({ value: seconds(value), labels: { quantile } })),
      },
    ];
    const descriptors = openDescriptors();
    if (descriptors !== undefined)
      readings.push(gauge('process_open_fds', 'File descriptors that are open: one per connection.', descriptors));
    delay.reset();
    return readings;
  }
}

const startedAt = Math.round(Date.now() / 1000 - process.uptime());

/** Linux only. */
function openDescriptors(): number | undefined {
  try {
    // Less the one that reading the directory takes.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return undefined;
  }
}

function counter(name: string, help: string, value: number): Reading {
  return { name, help, type: 'counter', samples: [{ value }] };
}

function gauge(name: string, help: string, value: number): Reading {
  return { name, help, type: 'gauge', samples: [{ value }] };
}
