import { Command } from 'commander';
import { makeCertificates } from './certs.ts';

export function certsCommand(): Command {
  return new Command('certs')
    .description('make a development CA, a server certificate and client certificates')
    .option('-d, --directory <path>', 'where to put them', 'certs')
    .option('--host <name>', 'further name or address of the server (repeatable)', collect, [])
    .option('--client <id>', 'client certificate with this client id as its CN (repeatable)', collect, [])
    .option('--days <n>', 'how long they are valid', Number, 365)
    .option('--force', 'make anew what is there')
    .action(async (flags: { directory: string; host: string[]; client: string[]; days: number; force?: true }) => {
      const report = await makeCertificates({
        directory: flags.directory,
        hosts: flags.host,
        clients: flags.client,
        days: flags.days,
        force: flags.force === true,
      });
      for (const { outcome, certificate, key } of report) process.stdout.write(`${outcome}  ${certificate}  ${key}\n`);
    });
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
