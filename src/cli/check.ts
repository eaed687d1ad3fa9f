import { Command, Option } from 'commander';
import { describeConfig } from '../config/describe.ts';
import { kafkaOptions } from '../kafka-options.ts';
import { inspectTopics } from '../kafka/durability.ts';
import { constantTopics } from '../routes/index.ts';
import { ExitCode } from './exit-codes.ts';
import { configOf, withConfig, type ConfigFlags } from './options.ts';

export function checkCommand(): Command {
  return withConfig(new Command('check'))
    .description('validate the configuration and print what would run')
    .addOption(new Option('--connect', 'also look at the target topics in Kafka'))
    .action(async (flags: ConfigFlags & { connect?: true }) => {
      const { config, file, warnings } = configOf(flags);
      process.stdout.write(`${file ?? 'defaults'}: valid\n\n${describeConfig(config)}\n`);
      for (const warning of warnings) process.stdout.write(`warning: ${warning}\n`);
      if (flags.connect !== true) return;
    });
}
