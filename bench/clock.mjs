/**
 * Milliseconds of the machine's monotonic clock: the same for every process on it, so that a consumer can subtract the
 * time a publisher wrote into a payload. performance.now() alone counts from the start of its own process.
 */
const origin = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export const monotonicMs = () => origin + performance.now();

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
