import { Command, Option } from 'commander';
import { askAdmin } from '../http/admin.ts';
import type { ClientStatus, Page } from '../http/port.ts';
import { configOf, wholeNumber, withConfig, type ConfigFlags } from './options.ts';
import { renderTable } from './table.ts';
import { approximateSize } from './terminal.ts';

interface Flags extends ConfigFlags {
  readonly search: string;
  readonly limit: number;
  readonly offset: number;
  readonly json?: true;
}

export function clientsCommand(): Command {
  return withConfig(new Command('clients'))
    .description('clients that are connected to the running sluice of this data directory')
    .option('--search <text>', 'only those with this in their client id or user', '')
    .addOption(new Option('--limit <n>', 'how many at most, up to 1000').argParser(wholeNumber).default(100))
    .addOption(new Option('--offset <n>', 'leave out the first n').argParser(wholeNumber).default(0))
    .addOption(new Option('--json', 'as JSON'))
    .action(async (flags: Flags) => {
      const { search, limit, offset } = flags;
      const query = new URLSearchParams({ search, limit: String(limit), offset: String(offset) });
      const { path } = configOf(flags).config.buffer;
      const page = (await askAdmin(path, `/api/v1/clients?${query.toString()}`)) as Page<ClientStatus>;
      process.stdout.write(flags.json === true ? `${JSON.stringify(page, null, 2)}\n` : renderClients(page));
    });
}

function renderClients({ total, items }: Page<ClientStatus>): string {
  const rows = items.map((client) => [
    client.clientId,
    client.user,
    `MQTT ${client.protocol}`,
    `${client.listener} ${client.remoteAddress}`,
    client.connectedAt,
    String(client.subscriptions),
    approximateSize(client.receivedBytes),
    approximateSize(client.sentBytes),
  ]);
  const head = ['client id', 'user', 'protocol', 'from', 'connected', 'subscriptions', 'received', 'sent'];
  return `${renderTable(head, rows)}${items.length} of ${total.toLocaleString('en-US')}\n`;
}
