import { z } from 'zod';
import { noSubscriberRules } from '../../downlink/definition.ts';
import { duration, fault, integer, matching, optionalDuration, size } from '../fields.ts';

const text = z.string().min(1).max(65_535);

const downlink = z
  .strictObject({
    name: matching(/^[A-Za-z0-9._-]{1,200}$/, 'up to 200 letters, digits, dots, dashes and underscores').meta({
      description: 'Name in metrics, in the log, and in the default of `group`.',
    }),
    from: text.optional().meta({ description: 'Kafka topic that is read.' }),
    regex: text.optional().meta({
      description: 'In place of `from`: a regular expression (RE2) for names of Kafka topics. Anchor it: `^iot\\.`.',
    }),
    group: z.string().min(1).max(249).optional().meta({
      description: 'Consumer group. Instances of one group share the partitions. Default: `sluice.` and the name.',
    }),
    startAt: z.enum(['earliest', 'latest']).default('earliest').meta({
      description:
        'Where a group begins that has committed nothing. With `latest`, what comes before the first commit can be missed.',
    }),
    where: text.optional().meta({
      description:
        'Condition in CEL, such as `header["kind"] == "reboot" && value.level > 2.0`. Other records are passed over by the rule `filtered`.',
    }),
    to: text.meta({
      description:
        'MQTT topic, a template: `{key}`, `{topic}`, `{partition}`, `{offset}`, `{header.NAME}`, `{value}`, `{value.PATH}`. See docs/downlink.md.',
    }),
    qos: z
      .union([z.literal(0), z.literal(1), z.literal(2)])
      .default(1)
      .meta({ description: 'QoS of the message. With 0 nothing is acknowledged, and nothing waits for who is away.' }),
    retain: z.boolean().default(false).meta({
      description: 'Keep the last record of each topic as its retained message. A record without a value clears it.',
    }),
    messageExpiry: optionalDuration('1h', 'The message is void this long after the timestamp of its record.', {
      min: '1s',
      max: '365d',
    }),
    userProperties: z.array(z.string().min(1).max(250)).max(100).prefault([]).meta({
      description: 'Names of record headers that become MQTT 5 user properties.',
    }),
    value: z.enum(['raw', 'json']).default('raw').meta({
      description: 'The payload is the value, byte for byte. `json`: a value that is no JSON is a dead letter.',
    }),
    noSubscriber: z.enum(noSubscriberRules).default('hold').meta({
      description:
        'What becomes of a record whose topic has no subscriber, connected or with a session. `hold`: it waits for one, up to `holdTimeout`, and is a dead letter then.',
    }),
    holdTimeout: duration('1m', 'How long records wait for a subscriber, counted per MQTT topic.', {
      min: '1s',
      max: '7d',
    }),
    acknowledgeTimeout: duration(
      '30s',
      'How long a connected subscriber without a session may take to acknowledge; then the record is a dead letter.',
      { min: '1s', max: '1h' },
    ),
    deadLetters: z.string().min(1).default('sluice.downlink.dead-letter').meta({
      description: 'Kafka topic for records that cannot be sent down, with headers that say why.',
    }),
    windowRecords: integer(
      1_000,
      'Records of one partition that may be read and not settled. It bounds what a crash repeats.',
      1,
      100_000,
    ),
    windowBytes: size('16MB', 'What records may hold of memory, over all partitions.', { min: '64KB', max: '1GB' }),
    fromSluice: z.enum(['skip', 'send']).default('skip').meta({
      description:
        'What becomes of records that a sluice has written. `skip`: they are passed over by the rule `loop`.',
    }),
  })
  .check((context) => {
    const { from, regex } = context.value;
    const at = (key: string, message: string, wayOut: string): void =>
      fault({ addIssue: (issue) => context.issues.push({ ...issue, path: [key], input: undefined }) }, message, wayOut);
    if (from === undefined && regex === undefined)
      at('from', 'is missing, expected a Kafka topic', 'add from: with a topic, or regex: with an expression');
    if (from !== undefined && regex !== undefined) at('regex', 'stands beside from', 'leave one of the two out');
  });

export const downlinks = z.array(downlink).max(100).prefault([]).meta({
  description: 'Records of Kafka that become MQTT messages. See docs/downlink.md.',
});
