import { spawn } from 'node:child_process';

/** A record as kcat (librdkafka) read it: an independent reader of what sluice wrote. */
export interface Consumed {
  partition: number;
  offset: number;
  /** Milliseconds since the epoch. */
  timestamp: number;
  key: Buffer | null;
  value: Buffer | null;
  /** In the order of the record; a name may come more than once. */
  headers: [name: string, value: Buffer | null][];
}

interface Line {
  partition: number;
  offset: number;
  ts: number;
  key: string | null;
  payload: string | null;
  headers?: (string | null)[];
}

// kcat writes the bytes of keys, values and headers into its JSON as they are and escapes only what JSON must. Read as
// Latin-1, one character is one byte, so any bytes survive; read as UTF-8 they would not.
const bytes = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, 'latin1'));

function parse(text: string): Consumed {
  const line = JSON.parse(text) as Line;
  const headers: [string, Buffer | null][] = [];
  for (let index = 0; index < (line.headers?.length ?? 0); index += 2) {
    const name = Buffer.from(line.headers?.[index] ?? '', 'latin1').toString();
    headers.push([name, bytes(line.headers?.[index + 1] ?? null)]);
  }
  const { partition, offset, ts: timestamp } = line;
  return { partition, offset, timestamp, key: bytes(line.key), value: bytes(line.payload), headers };
}

/**
 * Hands each record of `topic`, from its beginning to what is its end now, to `each`; resolves to their number.
 * Records of one partition come in the order of their offsets.
 */
export function consumeEach(brokers: string[], topic: string, each: (record: Consumed) => void): Promise<number> {
  return readLines(brokers, topic, ['-J'], (line) => each(parse(line)));
}

/** As consumeEach(), of values that hold no line break: several times as fast. */
export function consumeValues(brokers: string[], topic: string, each: (value: Buffer) => void): Promise<number> {
  return readLines(brokers, topic, ['-f', '%s\\n'], (line) => each(Buffer.from(line, 'latin1')));
}

function readLines(
  brokers: string[],
  topic: string,
  format: readonly string[],
  each: (line: string) => void,
): Promise<number> {
  const args = ['-C', '-b', brokers.join(','), '-t', topic, '-o', 'beginning', '-e', '-q', ...format];
  // librdkafka does not look at checksums unless told to.
  const kcat = spawn('kcat', [...args, '-X', 'check.crcs=true'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let rest = '';
  let count = 0;
  let said = '';
  let failure: Error | undefined;

  const take = (chunk: Buffer): void => {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    try {
      for (const line of lines) {
        each(line);
        count += 1;
      }
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
      kcat.kill();
    }
  };
  kcat.stdout.on('data', take);
  kcat.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)));
  return new Promise((resolve, reject) => {
    kcat.once('error', reject);
    kcat.once('close', (code) => {
      if (failure !== undefined) reject(failure);
      else if (code !== 0) reject(new Error(`kcat ended with ${code} while reading ${topic}: ${said.trim()}`));
      else resolve(count);
    });
  });
}

/** All records of `topic`, from its beginning to what is its end now. */
export async function consume(brokers: string[], topic: string): Promise<Consumed[]> {
  const records: Consumed[] = [];
  await consumeEach(brokers, topic, (record) => records.push(record));
  return records;
}

/** The text of a record's first header of that name. */
export function header(record: Consumed, name: string): string | undefined {
  return record.headers.find(([each]) => each === name)?.[1]?.toString();
}
