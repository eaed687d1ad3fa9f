import { Command, Option } from 'commander';
import type { SluiceConfig } from '../config/config.ts';
import { describeConfig } from '../config/describe.ts';
import { errorText } from '../errors.ts';
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
      process.stdout.write(`${file ?? 'no file, the defaults'}: valid\n\n${describeConfig(config)}\n`);
      for (const warning of warnings) process.stdout.write(`warning: ${warning}\n`);
      if (flags.connect === true && !(await checkTopics(config))) process.exitCode = ExitCode.checkFailed;
    });
}

/** false: something does not work. What merely weakens the guarantee is said, and is no failure. */
async function checkTopics(config: SluiceConfig): Promise<boolean> {
  const topics = [...new Set([...constantTopics(config.routes), config.deadLetter.topic])];
  let reports;
  try {
    reports = await inspectTopics(kafkaOptions(config.kafka), topics);
  } catch (error) {
    process.stdout.write(`\nKafka at ${config.kafka.brokers.join(', ')}: ${errorText(error)}\n`);
    return false;
  }
  process.stdout.write(`\nKafka at ${config.kafka.brokers.join(', ')}:\n`);
  for (const report of reports) {
    const facts =
      report.state === 'present'
        ? `${report.partitions} partitions, ${report.replicationFactor} replicas, min.insync.replicas ${report.minInsyncReplicas ?? 'unknown'}`
        : report.state;
    process.stdout.write(`  ${report.topic}: ${facts}\n`);
    for (const weakness of report.weak) process.stdout.write(`    weaker than promised: ${weakness}\n`);
  }
  return reports.every(
    ({ state }) => state === 'present' || (state === 'missing' && config.kafka.createTopics.enabled),
  );
}
