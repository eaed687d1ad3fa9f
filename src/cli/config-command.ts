import { Command } from 'commander';
import { configReference } from '../config/reference.ts';
import { configJsonSchema } from '../config/shape.ts';

export function configCommand(): Command {
  const command = new Command('config').description('about the configuration itself');
  command
    .command('schema')
    .description('print the JSON Schema of sluice.yaml, for editors')
    .action(() => {
      process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    });
  command
    .command('reference')
    .description('print every key with its type, default and meaning, as Markdown')
    .action(() => {
      process.stdout.write(configReference());
    });
  return command;
}
