import { z } from 'zod';
import { codecs } from '../../payload/decompress.ts';
import { envelopePayloads, isRegistryForm, subjectStrategies, valueForms } from '../../payload/definition.ts';
import { timestampUnits } from '../../routes/timestamp.ts';
import { fault, filePath, matching, optionalDuration, optionalSize } from '../fields.ts';
import { compression, newTopic } from './kafka-topics.ts';

const text = z.string().min(1).max(65_535);
const template = z.string().min(1).max(65_535);
const fieldName = z.string().min(1).max(250);

const cloudEvents = z
  .strictObject({
    mode: z.enum(['binary', 'structured']).default('binary').meta({
      description: '`binary`: attributes in `ce_` headers, the payload is the value. `structured`: one JSON object.',
    }),
    source: template
      .optional()
      .meta({ description: 'Attribute `source`, a template, made a URI reference. Default: `/clients/{clientId}`.' }),
    type: template.optional().meta({ description: 'Attribute `type`, a template. Default: `mqtt.publish`.' }),
    subject: template.optional().meta({ description: 'Attribute `subject`, a template. Default: `{topic}`.' }),
  })
  .optional()
  .meta({ description: 'For `value: cloudevents`.' });

const lookup = z.strictObject({
  file: filePath().meta({
    description: 'JSON file: an object with an entry per key. Read when the routes are loaded.',
  }),
  key: template.meta({ description: 'Which entry, a template.' }),
  into: fieldName.optional().meta({
    description: 'Field that gets the entry. Without, the fields of the entry are added.',
  }),
});

const fields = z
  .strictObject({
    keep: z.array(fieldName).min(1).max(1_000).optional().meta({ description: 'The only fields that stay.' }),
    drop: z.array(fieldName).max(1_000).optional().meta({ description: 'Fields that go.' }),
    rename: z.record(fieldName, fieldName).optional().meta({ description: 'Old name to new name.' }),
    lookup: z.array(lookup).max(20).optional().meta({ description: 'Enrichment from files.' }),
    add: z
      .record(fieldName, z.union([z.string().max(65_535), z.number().min(-1e308).max(1e308), z.boolean(), z.null()]))
      .optional()
      .meta({
        description:
          'New fields: constants, and templates. One that is a single `{payload.field}` keeps its type; one that the message has nothing for is left out.',
      }),
  })
  .optional()
  .meta({ description: 'Changes to a JSON object, in this order: keep, drop, rename, lookup, add.' });

const registrySection = z
  .strictObject({
    strategy: z.enum(subjectStrategies).default('topic').meta({
      description:
        'How the subject is made. `topic`: `<Kafka topic>-value`. `record`: the name in `record`. `topicRecord`: `<Kafka topic>-<record>`.',
    }),
    subject: text.optional().meta({ description: 'The subject itself, in place of a strategy.' }),
    record: text.optional().meta({
      description:
        'Full name of the Avro record, Protobuf message or JSON Schema title, for strategies that name it. For `protobuf` also which message of the file is meant; default: the first.',
    }),
    version: z
      .union([z.literal('latest'), z.int().min(1).max(0x7fffffff)])
      .default('latest')
      .meta({
        description: 'Version of the subject. `latest` is looked at again every `schemaRegistry.refresh`.',
      }),
    file: filePath().optional().meta({
      description:
        'File with the schema itself: that version is taken which it is. With `schemaRegistry.autoRegister` it is registered where it is not.',
    }),
    from: z.enum(['json', 'binary']).default('json').meta({
      description: 'What devices send: JSON to be encoded, or Avro or Protobuf binary, which is checked.',
    }),
    ignoreUnknown: z
      .boolean()
      .default(false)
      .meta({ description: 'Leave fields out that the schema does not have, instead of taking them for a fault.' }),
  })
  .optional()
  .meta({ description: 'For `value: avro`, `protobuf` and `jsonSchema`: which schema.' });

const route = z
  .strictObject({
    name: matching(/^[\x21-\x7e](?:[\x20-\x7e]{0,248}[\x21-\x7e])?$/, 'up to 250 printable ASCII characters')
      .optional()
      .meta({ description: "Name in the records' `sluice-route` header and in metrics. Default: `from`, or `regex`." }),
    from: text.optional().meta({
      description:
        'MQTT topic filter. `{name}` stands for one level that `to`, `key` and `headers` can use; `+` and `#` as in MQTT. `#` does not match topics that begin with `$`.',
    }),
    regex: text.optional().meta({
      description:
        'In place of `from`: a regular expression (RE2) for the whole topic. Named groups, `(?<name>…)`, are named levels.',
    }),
    to: text.meta({
      description: 'Kafka topic; may hold `{name}`, `{clientId}`, `{user}` and the like: see docs/routes.md.',
    }),
    key: z.union([template, z.null()]).default('{clientId}').meta({
      description:
        'Record key, a template. Records of one client and key stay in order. `null`: no key, and no order between records.',
    }),
    partition: z
      .union([z.int().min(0).max(0x7fffffff), template])
      .optional()
      .meta({
        description:
          'Partition by number instead of by key, modulo how many there are: a number, or a template that makes one.',
      }),
    headers: z.record(z.string().min(1).max(250), z.string().max(65_535)).default({}).meta({
      description:
        'Further record headers, as templates. Names that begin with `sluice-` or `mqtt-` are taken. One that the message has nothing for is left out.',
    }),
    timestamp: template.optional().meta({
      description: 'Time of the record, a template such as `{payload.ts}` or `{userProperty.ts}`. Default: arrival.',
    }),
    timestampUnit: z
      .enum(timestampUnits)
      .default('ms')
      .meta({ description: 'How `timestamp` is written: since 1970, or an ISO 8601 date and time.' }),
    when: template.optional().meta({
      description:
        'Condition in CEL, such as `payload.t > 20.0 && qos > 0`. Messages it does not hold for are discarded by the rule `filtered`, unless another route takes them.',
    }),
    qos: z.array(z.int().min(0).max(2)).min(1).optional().meta({ description: 'Only messages of these QoS.' }),
    onlyRetained: z.boolean().default(false).meta({ description: 'Only messages with the retain flag.' }),
    sample: z.number().min(0).max(1).default(1).meta({
      description: 'Part of the messages that become records; the others are discarded by the rule `sampled`.',
    }),
    priority: z.int().min(-1_000_000).max(1_000_000).default(0).meta({
      description: 'Routes with a higher one come first. Equal ones are in the order of the file.',
    }),
    stop: z.boolean().default(false).meta({ description: 'Where this route applies, no route behind it does.' }),
    expire: optionalDuration(
      '10m',
      'Messages that are older when their turn comes are dropped, and counted as expired.',
      {
        min: '1s',
        max: '365d',
      },
    ),
    honorMessageExpiry: z.boolean().default(false).meta({
      description: 'Drop messages whose MQTT 5 expiry has passed, too. Otherwise it is only a header.',
    }),
    topics: z
      .strictObject({
        allow: z.array(template).min(1).max(100).optional().meta({
          description: 'Regular expressions (RE2); a name has to match one of them. Anchor them, as in `^iot\\.`.',
        }),
        max: z.int().min(1).max(1_000_000).default(1_000).meta({
          description: 'Different topics that the route may make; further ones are dead letters.',
        }),
      })
      .optional()
      .meta({ description: 'Kafka topics that are made of data.' }),
    createTopic: newTopic
      .optional()
      .meta({ description: 'How a topic of this route is created, in place of `kafka.createTopics`.' }),
    compression: compression.optional().meta({
      description: 'Compression of the record batches of its topics, in place of `kafka.compression`.',
    }),
    value: z.enum(valueForms).default('raw').meta({
      description:
        'Form of the record value. `raw`: the payload, byte for byte. `json`: the same, checked to be JSON. `envelope`: a JSON object with topic, client, time and payload. `cloudevents`: CloudEvents 1.0. `avro`, `protobuf`, `jsonSchema`: in the wire format of the schema registry.',
    }),
    envelope: z
      .strictObject({
        payload: z.enum(envelopePayloads).default('auto').meta({
          description:
            'How the payload stands in the envelope. `auto`: JSON if it is, else text if it is, else base64.',
        }),
      })
      .optional()
      .meta({ description: 'For `value: envelope`.' }),
    cloudEvents,
    registry: registrySection,
    decompress: z.enum(codecs).optional().meta({
      description: 'The payload is compressed. `zstd` needs Node 22.15 or newer.',
    }),
    decompressMaxBytes: optionalSize('Largest payload once it is decompressed. Default: 4MB.', {
      min: '1KB',
      max: '256MB',
    }),
    split: z.union([z.boolean(), template]).optional().meta({
      description: '`true`: the payload is a JSON list, and each element a record. A text: the path of the list in it.',
    }),
    fields,
    schema: filePath().optional().meta({
      description: 'JSON Schema, draft 2020-12, for the payload. Nothing outside of the file is fetched.',
    }),
    onInvalid: z.enum(['deadLetter', 'reject', 'drop']).default('deadLetter').meta({
      description:
        'What becomes of messages that the route cannot use. `reject`: refused before they are acknowledged. `drop`: discarded by the rule `invalid`.',
    }),
  })
  .check((context) => {
    const { from, regex, cloudEvents: event, value, envelope, registry } = context.value;
    const at = (key: string, message: string, wayOut: string): void =>
      fault({ addIssue: (issue) => context.issues.push({ ...issue, path: [key], input: undefined }) }, message, wayOut);
    if (from === undefined && regex === undefined) {
      at(
        'from',
        'is missing, expected a text that is not empty',
        'add from: with a topic filter, or regex: with an expression',
      );
    }
    if (from !== undefined && regex !== undefined) at('regex', 'stands beside from', 'leave one of the two out');
    if (event !== undefined && value !== 'cloudevents')
      at('cloudEvents', 'is for value: cloudevents', 'add it, or remove this');
    if (envelope !== undefined && value !== 'envelope')
      at('envelope', 'is for value: envelope', 'add it, or remove this');
    if (registry === undefined) return;
    if (!isRegistryForm(value)) at('registry', 'is for value: avro, protobuf or jsonSchema', 'add one, or remove this');
    const wrong = registryFault(registry, value);
    if (wrong !== undefined)
      fault(
        { addIssue: (issue) => context.issues.push({ ...issue, path: ['registry', wrong.key], input: undefined }) },
        wrong.message,
        wrong.wayOut,
      );
  });

interface KeyFault {
  readonly key: string;
  readonly message: string;
  readonly wayOut: string;
}

function registryFault(registry: NonNullable<z.output<typeof registrySection>>, value: string): KeyFault | undefined {
  const { subject, strategy, record, version, file, from, ignoreUnknown } = registry;
  if (subject !== undefined && strategy !== 'topic') {
    return { key: 'subject', message: `stands beside strategy: ${strategy}`, wayOut: 'leave one of the two out' };
  }
  if (strategy !== 'topic' && record === undefined) {
    return { key: 'strategy', message: 'needs `record` beside it', wayOut: 'add record: with the full name' };
  }
  if (strategy === 'topic' && record !== undefined && value !== 'protobuf') {
    return { key: 'record', message: 'is for strategy: record or topicRecord', wayOut: 'add one, or remove this' };
  }
  if (file !== undefined && version !== 'latest') {
    return { key: 'version', message: 'stands beside file, which is a version', wayOut: 'leave one of the two out' };
  }
  if (value === 'jsonSchema' && from === 'binary') {
    return { key: 'from', message: 'cannot be binary for jsonSchema', wayOut: 'write from: json, or remove it' };
  }
  if (value === 'jsonSchema' && ignoreUnknown) {
    return {
      key: 'ignoreUnknown',
      message: 'does not go with jsonSchema',
      wayOut: 'let the schema say it: additionalProperties: true',
    };
  }
  return undefined;
}

export const routes = z
  .array(route)
  .min(1)
  .max(10_000)
  .prefault([{ name: 'default', from: '#', to: 'mqtt.messages' }])
  .meta({
    description:
      'Which messages go to which Kafka topic. Every route that matches makes a record. Without routes there is one, `default`: from `#` to `mqtt.messages`.',
  });

export const deadLetter = z
  .strictObject({
    topic: z.string().min(1).default('sluice.dead-letter').meta({
      description: 'Kafka topic for records that Kafka or a rule refuses, with headers that say why.',
    }),
  })
  .prefault({})
  .meta({ description: 'Where records go that cannot be delivered.' });
