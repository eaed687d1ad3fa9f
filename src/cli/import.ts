import { readFile } from 'node:fs/promises';
import { Argument, Command } from 'commander';
import { errorText, SluiceError } from '../errors.ts';
import { importers } from '../import/index.ts';

export function importCommand(): Command {
  return new Command('import')
    .description('make a sluice.yaml of what another product is configured with; prints it')
    .addArgument(new Argument('<product>', 'where it comes from').choices(Object.keys(importers)))
    .argument('<file>', 'kafka-mqtt.properties, mapping rules (JSON), or cluster.hocon')
    .action(async (product: string, file: string) => {
      const text = await readFile(file, 'utf8').catch((cause: unknown) => {
        throw new SluiceError('CONFIG_UNREADABLE', `cannot read ${file}: ${errorText(cause)}`, { cause });
      });
      const { yaml, notes } = importers[product]!(text);
      process.stdout.write(yaml);
      for (const note of notes) process.stderr.write(`not taken over: ${note}\n`);
    });
}
