import { Command, InvalidArgumentError, Option } from 'commander';
import { explain, plainExplanation, shown, type ExplainedRecord, type Explanation } from '../explain.ts';
import { configOf, withConfig, type ConfigFlags } from './options.ts';

interface ExplainFlags extends ConfigFlags {
  readonly payload: string;
  readonly client: string;
  readonly user: string;
  readonly qos: '0' | '1' | '2';
  readonly retain?: true;
  readonly contentType?: string;
  readonly userProperty?: readonly (readonly [string, string])[];
  readonly partitions?: number;
  readonly json?: true;
}

export function explainCommand(): Command {
  return withConfig(new Command('explain'))
    .description('tell which routes take a message, and print the records; connects nowhere')
    .argument('<topic>', 'MQTT topic')
    .option('--payload <text>', 'payload', '')
    .option('--client <id>', 'client id', 'client')
    .option('--user <name>', 'user', '')
    .addOption(new Option('--qos <qos>', 'QoS').choices(['0', '1', '2']).default('1'))
    .option('--retain', 'the retain flag is set')
    .option('--content-type <type>', 'MQTT 5 content type')
    .option('--user-property <name=value>', 'MQTT 5 user property; may be repeated', property)
    .option('--partitions <n>', 'partitions of each topic, to tell which one', count)
    .option('--json', 'as JSON')
    .action((topic: string, flags: ExplainFlags) => {
      const { contentType, userProperty } = flags;
      const properties = {
        ...(contentType === undefined ? {} : { contentType }),
        ...(userProperty === undefined ? {} : { userProperties: userProperty }),
      };
      const explanation = explain(configOf(flags).config, {
        topic,
        payload: flags.payload,
        clientId: flags.client,
        user: flags.user,
        qos: Number(flags.qos) as 0 | 1 | 2,
        retain: flags.retain ?? false,
        ...(Object.keys(properties).length > 0 ? { properties } : {}),
        ...(flags.partitions === undefined ? {} : { partitions: flags.partitions }),
      });
      process.stdout.write(
        flags.json === true ? `${JSON.stringify(plainExplanation(explanation), null, 2)}\n` : textOf(explanation),
      );
    });
}

function property(text: string, before: readonly (readonly [string, string])[] = []): (readonly [string, string])[] {
  const at = text.indexOf('=');
  if (at < 0) throw new InvalidArgumentError('expected name=value');
  return [...before, [text.slice(0, at), text.slice(at + 1)]];
}

function count(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('expected a whole number of 1 or more');
  return number;
}

function textOf({ routes, records, outcome }: Explanation): string {
  const lines = routes.map(({ name, from, records: made, why }) => {
    const what = why ?? 'makes a record';
    return `${made ? '+' : '-'} ${name}${name === from ? '' : ` (${from})`}: ${what}`;
  });
  return [...lines, '', ...records.flatMap(recordLines), `outcome: ${outcome}`, ''].join('\n');
}

function recordLines(record: ExplainedRecord): string[] {
  const { route, topic, partition, timestamp, key, headers, value } = record;
  return [
    `record by ${route}`,
    `  topic      ${topic}`,
    `  partition  ${partition ?? (key === null ? 'any: there is no key' : 'by the key; --partitions tells which')}`,
    `  time       ${new Date(timestamp).toISOString()}`,
    `  key        ${shown(key)}`,
    ...headers.map(([name, text]) => `  header     ${name}: ${shown(text)}`),
    `  value      ${shown(value)}`,
    '',
  ];
}
