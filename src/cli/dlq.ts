/** `sluice dlq`: dead letters, read from Kafka; put in again by the running sluice. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { SluiceConfig } from '../config/config.ts';
import { listDeadLetters, type FoundDeadLetter } from '../dead-letters.ts';
import { askAdmin } from '../http/admin.ts';
import { kafkaOptions } from '../kafka-options.ts';
import type { DeadLetterFilter, ReplayCounts } from '../status.ts';
import { ExitCode } from './exit-codes.ts';
import { configOf, wholeNumber, withConfig, type ConfigFlags } from './options.ts';
import { renderTable } from './table.ts';

interface FilterFlags extends ConfigFlags {
  readonly code?: string;
  readonly route?: string;
  readonly client?: string;
  readonly topic?: string;
  readonly id?: string;
  readonly from?: number;
  readonly to?: number;
}

const PREVIEW_CHARACTERS = 40;
const REPLAY_TIMEOUT_MS = 24 * 3600 * 1000;

export function dlqCommand(): Command {
  return new Command('dlq')
    .description('dead letters: look at them, put them in again')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(exportCommand())
    .addCommand(replayCommand());
}

function listCommand(): Command {
  return filtered(new Command('list'))
    .description('one line for each, oldest first within a partition')
    .addOption(new Option('--limit <n>', 'how many at most').argParser(wholeNumber).default(100))
    .addOption(new Option('--json', 'as JSON lines'))
    .action(async (flags: FilterFlags & { limit: number; json?: true }) => {
      const found: FoundDeadLetter[] = [];
      for await (const letter of lettersOf(flags)) {
        if (found.length === flags.limit) {
          process.stderr.write(`there are more than ${flags.limit}; --limit shows more\n`);
          break;
        }
        found.push(letter);
      }
      process.stdout.write(flags.json === true ? found.map(jsonLine).join('') : renderList(found));
    });
}

function showCommand(): Command {
  return withConfig(new Command('show'))
    .argument('<position>', 'PARTITION:OFFSET as list prints it')
    .description('one dead letter, with its headers and payload')
    .action(async (position: string, flags: ConfigFlags) => {
      const [, partition, offset] = /^(\d+):(\d+)$/.exec(position) ?? [];
      if (partition === undefined) throw new InvalidArgumentError('write PARTITION:OFFSET, such as 0:42');
      for await (const letter of lettersOf(flags)) {
        if (letter.partition !== Number(partition) || letter.offset !== Number(offset)) continue;
        process.stdout.write(renderOne(letter));
        return;
      }
      process.stderr.write(`there is no dead letter at ${position}\n`);
      process.exitCode = ExitCode.checkFailed;
    });
}

function exportCommand(): Command {
  return filtered(new Command('export'))
    .description('JSON lines with headers and payload (base64)')
    .option('-o, --output <file>', 'a file instead of standard output')
    .action(async (flags: FilterFlags & { output?: string }) => {
      const output = flags.output === undefined ? process.stdout : createWriteStream(flags.output, { flags: 'wx' });
      for await (const letter of lettersOf(flags)) {
        if (!output.write(jsonLine(letter))) await once(output, 'drain');
      }
      if (output !== process.stdout) {
        output.end();
        await once(output, 'close');
      }
    });
}

function replayCommand(): Command {
  return filtered(new Command('replay'))
    .description('put them in again through the routes of now; run again after a cut, it goes on where it was')
    .addOption(new Option('--dry-run', 'count them only'))
    .addOption(new Option('--json', 'as JSON'))
    .action(async (flags: FilterFlags & { dryRun?: true; json?: true }) => {
      const { path } = configOf(flags).config.buffer;
      const dryRun = flags.dryRun === true;
      const counts = (await askAdmin(path, '/api/v1/dead-letters/replay', {
        method: 'POST',
        body: { ...filterOf(flags), dryRun },
        timeoutMs: REPLAY_TIMEOUT_MS,
      })) as ReplayCounts;
      process.stdout.write(flags.json === true ? `${JSON.stringify(counts)}\n` : renderCounts(counts, dryRun));
    });
}

function filtered(command: Command): Command {
  return withConfig(command)
    .option('--code <code>', 'only with this error code, such as MESSAGE_TOO_LARGE')
    .option('--route <name>', 'only of this route')
    .option('--client <id>', 'only of this client')
    .option('--topic <topic>', 'only of this MQTT topic')
    .option('--id <sluice-id>', 'only of this message')
    .addOption(new Option('--from <time>', 'only what arrived then or later, e.g. 2026-11-01T12:00').argParser(time))
    .addOption(new Option('--to <time>', 'only what arrived before').argParser(time));
}

function filterOf({ code, route, client, topic, id, from, to }: FilterFlags): DeadLetterFilter {
  return { code, route, clientId: client, topic, sluiceId: id, from, to };
}

function lettersOf(flags: FilterFlags): AsyncGenerator<FoundDeadLetter> {
  const { kafka, deadLetter }: SluiceConfig = configOf(flags).config;
  return listDeadLetters(kafkaOptions(kafka), deadLetter.topic, filterOf(flags));
}

function renderList(letters: readonly FoundDeadLetter[]): string {
  const rows = letters.map((letter) => [
    `${letter.partition}:${letter.offset}`,
    new Date(letter.receivedAt).toISOString(),
    letter.code,
    letter.route ?? '',
    letter.clientId,
    letter.mqttTopic,
    preview(letter.payload),
  ]);
  return `${renderTable(['position', 'arrived', 'code', 'route', 'client id', 'topic', 'payload'], rows)}${letters.length} dead letters\n`;
}

function renderOne(letter: FoundDeadLetter): string {
  const lines = letter.headers.map(([name, value]) => `  ${name}: ${printable(value)}`);
  const whole = letter.incomplete === undefined ? '' : `cannot be put in again: ${letter.incomplete}\n`;
  return `${letter.code}: ${printable(letter.reason)}\n${whole}headers\n${lines.join('\n')}\npayload, ${letter.payload.length} bytes\n  ${printable(letter.payload.toString('utf8'))}\n`;
}

function renderCounts(counts: ReplayCounts, dryRun: boolean): string {
  const number = (count: number): string => count.toLocaleString('en-US');
  const parts = [
    `${number(counts.found)} dead letters found`,
    `${number(counts.replayed)} ${dryRun ? 'would be put in again' : 'put in again'}`,
  ];
  if (counts.before > 0) parts.push(`${number(counts.before)} were put in by an earlier run`);
  if (counts.noRoute > 0) parts.push(`${number(counts.noRoute)} are on no route`);
  if (counts.incomplete > 0) parts.push(`${number(counts.incomplete)} were cut when they were written`);
  return `${parts.join('; ')}\n`;
}

function jsonLine({ payload, receivedAt, ...letter }: FoundDeadLetter): string {
  return `${JSON.stringify({ ...letter, receivedAt: new Date(receivedAt).toISOString(), payload: payload.toString('base64') })}\n`;
}

function preview(payload: Buffer): string {
  const text = printable(payload.subarray(0, 4 * PREVIEW_CHARACTERS).toString('utf8'));
  return text.length > PREVIEW_CHARACTERS ? `${text.slice(0, PREVIEW_CHARACTERS)}…` : text;
}

/** What a client sent must not steer the terminal. */
function printable(text: string): string {
  return text.replaceAll(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function time(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError('write a time such as 2026-11-01T12:00:00Z');
  return at;
}
