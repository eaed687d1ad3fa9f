import { Command, Option } from 'commander';
import { askAdmin } from '../http/admin.ts';
import type { SluiceStatus } from '../status.ts';
import { configOf, withConfig, type ConfigFlags } from './options.ts';
import { renderTable } from './table.ts';

type Routes = { readonly items: SluiceStatus['routes']; readonly deadLetters: SluiceStatus['deadLetters'] };

export function routesCommand(): Command {
  return withConfig(new Command('routes'))
    .description('routes of the running sluice of this data directory, with the records made for each')
    .addOption(new Option('--json', 'as JSON'))
    .action(async (flags: ConfigFlags & { json?: true }) => {
      const routes = (await askAdmin(configOf(flags).config.buffer.path, '/api/v1/routes')) as Routes;
      process.stdout.write(flags.json === true ? `${JSON.stringify(routes, null, 2)}\n` : renderRoutes(routes));
    });
}

function renderRoutes({ items, deadLetters }: Routes): string {
  const lettersOf = (route: string): string => {
    const letters = deadLetters.filter((letter) => letter.route === route);
    return letters.map(({ code, records }) => `${records.toLocaleString('en-US')} ${code}`).join(', ');
  };
  const rows = items.map(({ name, from, to, records }) => [
    name,
    from,
    to,
    records.toLocaleString('en-US'),
    lettersOf(name),
  ]);
  const head = ['route', 'from', 'to', 'records', 'dead letters'];
  const others = deadLetters.filter(({ route }) => !items.some(({ name }) => name === route));
  const rest = others.map(({ route, code, records }) => `${route || 'no route'}: ${records} dead letters, ${code}\n`);
  return `${renderTable(head, rows)}${rest.join('')}`;
}
