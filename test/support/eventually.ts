import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for a condition, never for a time. What the condition throws ends the waiting. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
  complaint: string | (() => string) = 'it did not come to pass',
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) {
      throw new Error(`${typeof complaint === 'string' ? complaint : complaint()} (waited ${timeoutMs} ms)`);
    }
    await sleep(20);
  }
}
