/**
 * A log-linear histogram of times: 128 buckets per power of two above 128 us, so a percentile is right within 0.8%, and
 * recording is an increment. Every message is recorded, none is sampled.
 */
const SUB_BITS = 7;
const SUB = 1 << SUB_BITS;
const BUCKETS = SUB * (32 - SUB_BITS + 1);

function bucketOf(us) {
  if (us < SUB) return us;
  const shift = 31 - Math.clz32(us) - SUB_BITS;
  return (shift + 1) * SUB + ((us >>> shift) - SUB);
}

/** The middle of a bucket, in microseconds. */
function valueOf(bucket) {
  if (bucket < SUB) return bucket;
  const shift = Math.floor(bucket / SUB) - 1;
  return ((bucket % SUB) + SUB + 0.5) * 2 ** shift;
}

export class Histogram {
  #counts = new Uint32Array(BUCKETS);
  #total = 0;
  #maxMs = 0;

  /** @param {number} ms @param {number} [times] */
  record(ms, times = 1) {
    const us = ms > 0 ? Math.min(Math.round(ms * 1000), 0x7fffffff) : 0;
    this.#counts[bucketOf(us)] += times;
    this.#total += times;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  reset() {
    this.#counts.fill(0);
    this.#total = 0;
    this.#maxMs = 0;
  }

  /** In milliseconds; undefined when nothing was recorded. @param {number} percent */
  percentile(percent) {
    if (this.#total === 0) return undefined;
    const rank = Math.max(1, Math.ceil((percent / 100) * this.#total));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      seen += this.#counts[bucket];
      if (seen >= rank) return Math.min(valueOf(bucket) / 1000, this.#maxMs);
    }
    return this.#maxMs;
  }

  summary() {
    return {
      count: this.#total,
      p50Ms: this.percentile(50),
      p90Ms: this.percentile(90),
      p99Ms: this.percentile(99),
      p999Ms: this.percentile(99.9),
      maxMs: this.#total === 0 ? undefined : this.#maxMs,
    };
  }
}
