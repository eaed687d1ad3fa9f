import { z } from 'zod';
import { matching } from '../fields.ts';

const text = z.string().min(1).max(65_535);

const route = z.strictObject({
  name: matching(/^[\x21-\x7e](?:[\x20-\x7e]{0,248}[\x21-\x7e])?$/, 'up to 250 printable ASCII characters')
    .optional()
    .meta({ description: "Name in the records' `sluice-route` header and in metrics. Default: `from`." }),
  from: text.meta({
    description:
      'MQTT topic filter. `{name}` stands for one level that `to`, `key` and `headers` can use; `+` and `#` as in MQTT. `#` does not match topics that begin with `$`.',
  }),
  to: text.meta({ description: 'Kafka topic; may hold `{name}`, `{clientId}`, `{user}`.' }),
  key: z.string().min(1).max(65_535).default('{clientId}').meta({
    description:
      'Record key; may hold `{name}`, `{clientId}`, `{topic}`, `{user}`. Records of one client and key stay in order.',
  }),
  headers: z.record(z.string().min(1).max(250), z.string().max(65_535)).default({}).meta({
    description: 'Further record headers, as templates. Names that begin with `sluice-` or `mqtt-` are taken.',
  }),
  value: z
    .enum(['raw'])
    .default('raw')
    .meta({ description: 'Form of the record value. `raw`: the payload, byte for byte.' }),
});

export const routes = z
  .array(route)
  .min(1)
  .max(10_000)
  .default([{ name: 'default', from: '#', to: 'mqtt.messages', key: '{clientId}', headers: {}, value: 'raw' }])
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
