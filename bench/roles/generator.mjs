/** Publishes over many MQTT connections, and accounts for what was acknowledged. */
import { monotonicMs, pause } from '../clock.mjs';
import { Histogram } from '../histogram.mjs';
import { Publisher } from '../load/publisher.mjs';
import { serve, usage } from '../role.mjs';

const CONNECTING_MAX = 100;
const DRAIN_POLL_MS = 5;
/** With nothing acknowledged for so long, the rest will not be. */
const DRAIN_STALL_MS = 15_000;

const latency = new Histogram();
const lateness = new Histogram();
let publishers = [];
let acknowledged = 0;
let faults = [];
let ticker;

const hooks = {
  latency,
  onAcknowledged(count) {
    acknowledged += count;
  },
  onFault(text) {
    if (faults.length < 20) faults.push(text);
  },
};

const sum = (pick) => publishers.reduce((total, publisher) => total + pick(publisher), 0);

/**
 * Open loop: in each millisecond k of the schedule, rate/1000 messages fall due, publishers taking turns, whatever the
 * broker does. What the timer is late by is part of the latency, and reported on its own as well.
 */
function keepSchedule(rate) {
  const startedAtMs = monotonicMs();
  let tick = 0;
  let scheduled = 0;
  let turn = 0;
  return setInterval(() => {
    const now = monotonicMs();
    for (; startedAtMs + tick <= now; tick += 1) {
      const dueAtMs = startedAtMs + tick;
      const due = Math.floor(((tick + 1) * rate) / 1000) - scheduled;
      scheduled += due;
      if (due > 0) lateness.record(now - dueAtMs, due);
      for (let index = 0; index < due; index += 1) {
        publishers[turn].schedule([dueAtMs]);
        turn = (turn + 1) % publishers.length;
      }
    }
  }, 1);
}

serve({
  /** @param {{ port: number, host: string, clients: number, window: number, sizeBytes: number, qos: 0 | 1 | 2 }} load */
  async connect({ port, host, clients, ...load }) {
    publishers = Array.from({ length: clients }, (_, number) => new Publisher(number, load, hooks));
    for (let from = 0; from < clients; from += CONNECTING_MAX) {
      await Promise.all(
        publishers.slice(from, from + CONNECTING_MAX).map((publisher) => publisher.connect(port, host)),
      );
    }
  },
  /** @param {{ rate?: number | undefined }} options messages per second over all connections; as fast as acknowledged without */
  run({ rate }) {
    if (rate === undefined) for (const publisher of publishers) publisher.fill();
    else ticker = keepSchedule(rate);
  },
  /** Percentiles count from here. */
  mark() {
    latency.reset();
    lateness.reset();
    return { ...usage(), acknowledged };
  },
  snapshot: () => ({ ...usage(), acknowledged, latency: latency.summary(), lateness: lateness.summary(), faults }),
  progress: () => ({ acknowledged, faults }),
  /** Publishes no more, waits for what is in flight, disconnects. */
  async stop() {
    clearInterval(ticker);
    for (const publisher of publishers) publisher.stop();
    let last = acknowledged;
    let lastAtMs = monotonicMs();
    while (sum((publisher) => publisher.inFlight) > 0 && faults.length === 0) {
      await pause(DRAIN_POLL_MS);
      if (acknowledged !== last) {
        last = acknowledged;
        lastAtMs = monotonicMs();
      } else if (monotonicMs() - lastAtMs > DRAIN_STALL_MS) {
        hooks.onFault(`${sum((publisher) => publisher.inFlight)} messages were never acknowledged`);
      }
    }
    for (const publisher of publishers) publisher.disconnect();
    return {
      published: sum((publisher) => publisher.published),
      acknowledged,
      acknowledgedBy: publishers.map((publisher) => publisher.acknowledged),
      faults,
    };
  },
});
