import { Command, Option } from 'commander';
import { askAdmin } from '../http/admin.ts';
import type { SluiceStatus } from '../status.ts';
import { approximateSize } from './terminal.ts';
import { configOf, withConfig, type ConfigFlags } from './options.ts';

export function statusCommand(): Command {
  return withConfig(new Command('status'))
    .description('what the running sluice of this data directory is doing')
    .addOption(new Option('--json', 'the whole status as JSON'))
    .action(async (flags: ConfigFlags & { json?: true }) => {
      const status = (await askAdmin(configOf(flags).config.buffer.path, '/api/v1/status')) as SluiceStatus;
      process.stdout.write(flags.json === true ? `${JSON.stringify(status, null, 2)}\n` : renderStatus(status));
    });
}

/** A few lines for a person. */
export function renderStatus(status: SluiceStatus): string {
  const { buffer, kafka, ledger } = status;
  const number = (value: number): string => value.toLocaleString('en-US');
  const lines = [
    `sluice ${status.version}, pid ${status.pid}, ${status.state} since ${status.startedAt}`,
    `listens   ${status.listeners.map((listener) => listener.url).join('  ')}  (${number(status.clients)} connected)`,
    `buffer    ${buffer.error ?? 'takes messages'}; ${number(ledger.buffered)} messages, ${approximateSize(buffer.bytes)} of ${approximateSize(buffer.maxBytes)}; ${buffer.durability}`,
    ...buffer.weak.map((weakness) => `          weaker than promised: ${weakness}`),
    `kafka     ${kafka.error ?? 'takes records'}; ${kafka.brokers.join(', ')}`,
    ...kafka.weak.map((weakness) => `          weaker than promised: ${weakness}`),
    ...kafka.lanes
      .filter((lane) => lane.error !== undefined)
      .map((lane) => `          ${lane.topic}[${lane.partition}]: ${number(lane.queued)} wait: ${lane.error}`),
    ...parkedLines(status),
    `ledger    accepted ${number(ledger.accepted)} = buffered ${number(ledger.buffered)} + delivered ${number(ledger.delivered)}` +
      ` + dead-lettered ${number(ledger.deadLettered)} + expired ${number(ledger.expired)} + discarded ${number(sum(ledger.discarded))}` +
      (ledger.imbalance === 0 ? '' : `  OUT OF BALANCE by ${number(ledger.imbalance)}`),
  ];
  const setAside = buffer.shards.reduce((total, shard) => total + shard.setAside, 0);
  if (setAside > 0) lines.push(`          ${number(setAside)} corrupt frames are set aside`);
  return `${lines.join('\n')}\n`;
}

/** One line per topic that waits apart from the log, over all shards. */
function parkedLines({ buffer }: SluiceStatus): string[] {
  const topics = new Map<string, { messages: number; bytes: number; full: boolean }>();
  for (const { topic, messages, bytes, full } of buffer.shards.flatMap(({ parked }) => parked)) {
    const known = topics.get(topic) ?? { messages: 0, bytes: 0, full: false };
    topics.set(topic, {
      messages: known.messages + messages,
      bytes: known.bytes + bytes,
      full: known.full || full,
    });
  }
  return [...topics].map(
    ([topic, { messages, bytes, full }]) =>
      `          ${topic}: ${messages.toLocaleString('en-US')} messages parked, ${approximateSize(bytes)}` +
      (full ? '; no more may be: it holds up the buffer' : ''),
  );
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
