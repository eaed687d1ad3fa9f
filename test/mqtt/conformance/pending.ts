import { it } from 'vitest';

/**
 * A case that sluice does not fulfil yet. It must fail, and turns red as soon as it passes: then it becomes an `it`. The
 * reason stands in its name, so that it is printed.
 */
export function pending(reason: string): (name: string, body: () => Promise<void>) => void {
  return (name, body) => it.fails(`${name} (not yet: ${reason})`, body);
}
