/**
 * `sluice-id` = `<logId>:<shard>:<offset>`, as an encoded header. Everything but the digits of the offset is written once
 * per log; there is one block per number of digits, so that a message costs its digits and no allocation.
 */
import type { Message } from '../message.ts';
import { encodeHeader } from '../kafka/record.ts';
import { H } from './record-headers.ts';

const MAX_DIGITS = 16;

export function sluiceId(logId: string, shard: number, offset: number): string {
  return `${logId}:${shard}:${offset}`;
}

interface LogBlocks {
  readonly logId: string;
  /** By number of digits of the offset. */
  readonly blocks: (Buffer | undefined)[];
}

export class SluiceIdWriter {
  /** By shard: a shard has one log id at a time. */
  readonly #logs: (LogBlocks | undefined)[] = [];

  /** One encoded header. It is overwritten by the next call. */
  block(logId: string, shard: number, offset: number): Buffer {
    let log = this.#logs[shard];
    if (log === undefined || log.logId !== logId) this.#logs[shard] = log = { logId, blocks: [] };
    const digits = digitsOf(offset);
    const block = (log.blocks[digits] ??= encodeHeader(H.id, sluiceId(logId, shard, 10 ** (digits - 1))));
    let rest = offset;
    let at = block.length - 1;
    // Division of a small integer is much faster than of one that only fits a double.
    for (; rest > 0x7fffffff; at--) {
      const tenth = Math.floor(rest / 10);
      block[at] = 48 + (rest - tenth * 10);
      rest = tenth;
    }
    for (const first = block.length - digits; at >= first; at--) {
      const tenth = (rest / 10) | 0;
      block[at] = 48 + (rest - tenth * 10);
      rest = tenth;
    }
    return block;
  }
}

/** The name of a message: that of its place, or the one it has always had where it was a dead letter. */
export function nameOf(
  message: Message,
  { logId, shard, offset }: { readonly logId: string; readonly shard: number; readonly offset: number },
): string {
  return message.properties?.replayOf ?? sluiceId(logId, shard, offset);
}

function digitsOf(offset: number): number {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError(`${offset} is no offset`);
  let digits = 1;
  for (let limit = 10; offset >= limit && digits < MAX_DIGITS; limit *= 10) digits++;
  return digits;
}
