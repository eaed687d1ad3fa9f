/** What must hold of the guard whatever the bytes are, without a socket. */
import mqttPacket from 'mqtt-packet';
import { judge, LIMITS, split, type Judged } from '../guard/machine.ts';
import { chunksOf, type FuzzCase } from './case.ts';

/** Packets that mqtt-packet makes of the bytes; throws what it throws, or the error it tells. */
function parsed(bytes: Buffer): number {
  const parser = mqttPacket.parser();
  let count = 0;
  let failure: Error | undefined;
  parser.on('packet', () => count++);
  parser.on('error', (error: Error) => {
    failure ??= error;
  });
  parser.parse(bytes);
  if (failure !== undefined) throw failure;
  return count;
}

export type Judge = (chunks: readonly Buffer[]) => Judged;

/** What is wrong with the guard's verdict; undefined: nothing. */
export function faultOf(
  fuzzCase: FuzzCase,
  judgeChunks: Judge = (chunks) => judge(chunks, LIMITS),
): string | undefined {
  const chunks = chunksOf(fuzzCase);
  const all = Buffer.concat(chunks);
  let verdict: Judged;
  try {
    verdict = judgeChunks(chunks);
  } catch (error) {
    return `the guard throws: ${String(error)}`;
  }
  const { valid, violation } = verdict;
  if (!fuzzCase.damaged && violation !== undefined) return `refuses what is valid: ${violation.message}`;
  if (!all.subarray(0, valid.length).equals(valid)) return 'passes on what did not come';
  try {
    parsed(valid);
  } catch (error) {
    return `passes on what mqtt-packet does not take: ${String(error)}`;
  }
  for (const other of [[all], ...(all.length < 3_000 ? [split(all, 1)] : [])]) {
    const again = judgeChunks(other);
    if (again.violation?.message !== violation?.message)
      return `says ${again.violation?.message} instead of ${violation?.message} when the bytes come otherwise`;
    if (violation !== undefined && !again.valid.equals(valid)) return 'passes on other bytes when they come otherwise';
  }
  return undefined;
}
