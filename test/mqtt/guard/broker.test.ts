import { describe, expect, it } from 'vitest';

import { bytes, publish } from './bytes.ts';
import { table, titleOf, type Row } from './table.ts';
import { exchange, serve, transports } from './transports.ts';

const TIMEOUT_MS = 20_000;
const AT_ONCE = 50;
const PUBLISHED = Buffer.of(0x40, 2, 0, 9);
const EMPTY = Buffer.alloc(0);

/** What comes after the CONNACK, where there must be one. */
function afterConnack(received: Buffer): Buffer | undefined {
  const accepted = received[0] === 0x20 && received[3] === 0;
  return accepted ? received.subarray(2 + received[1]!) : undefined;
}

/** With a client id of its own: a second client of the same one would take the first one over. */
function named(before: Buffer, index: number): Buffer {
  const copy = Buffer.from(before);
  const at = copy.lastIndexOf('row');
  if (at >= 0) copy.write(index.toString(36).padStart(3, '0'), at);
  return copy;
}

describe.each(transports)('over %s', (transport) => {
  it(
    'every row of the table is answered as required, after the answer to the message before it',
    { timeout: 120_000 },
    async () => {
      const test = await serve(transport);
      const wrong: string[] = [];
      const run = async (row: Row, index: number): Promise<void> => {
        const connected = row.before.length > 0;
        const message = connected ? publish(row.version, { topic: 'r/before', id: 9 }) : EMPTY;
        const sent = bytes(named(row.before, index), message, row.packet);
        const received = await exchange(transport, test.port, sent, TIMEOUT_MS);
        const expected = bytes(connected ? PUBLISHED : EMPTY, row.answer);
        const answer = received === undefined ? undefined : connected ? afterConnack(received) : received;
        if (answer?.equals(expected) !== true)
          wrong.push(`${titleOf(row)}: ${received?.toString('hex')} instead of ${expected.toString('hex')}`);
      };
      const rows = table.filter(({ guardOnly }) => guardOnly !== true);
      for (let at = 0; at < rows.length; at += AT_ONCE) {
        await Promise.all(rows.slice(at, at + AT_ONCE).map((row, index) => run(row, at + index)));
      }
      expect(wrong).toEqual([]);
      // Each is an event with its clause.
      const clauses = test.failed.map(({ error }) => ('clause' in error ? error.clause : error.message));
      expect(clauses.sort()).toEqual(rows.map(({ clause }) => clause).sort());
      expect(test.faults).toEqual([]);
      const count = rows.filter(({ before }) => before.length > 0).length;
      expect(test.store.log.length).toBe(count);
    },
  );
});
