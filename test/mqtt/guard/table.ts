/**
 * What a client must not send, by the clause that says so, in MQTT 3.1, 3.1.1 and 5, and what it gets for it. table.test.ts shows
 * each row to the guard, broker.test.ts to the broker over TCP, TLS and WebSocket.
 */
import { connectRows } from './table/connect-rows.ts';
import { packetRows } from './table/packet-rows.ts';
import type { Row } from './table/row.ts';

export type { Row } from './table/row.ts';

export const table: readonly Row[] = [...connectRows, ...packetRows];

export const titleOf = ({ clause, what, version }: Row): string =>
  `[${clause}] MQTT ${version === 3 ? '3.1' : version === 4 ? '3.1.1' : '5'}: ${what}`;
