import { z } from 'zod';
import { duration, filePath, flag, matching, secret } from '../fields.ts';
import { compression, newTopic } from './kafka-topics.ts';

const broker = matching(
  /^(?:[^\s:/@,[\]]+|\[[0-9A-Fa-f:.]+\]):(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$/,
  'host:port, such as localhost:9092',
);

const username = z.string().min(1).meta({ description: 'User name (`plain`, `scram-…`).' });
const password = secret('the password').meta({
  description: 'Password (`plain`, `scram-…`). Better `${KAFKA_PASSWORD}` than the word itself.',
});

const sasl = z
  .discriminatedUnion('mechanism', [
    z.strictObject({
      mechanism: z
        .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
        .meta({ description: 'How sluice proves who it is.' }),
      username,
      password,
    }),
    z.strictObject({
      mechanism: z.literal('oauthbearer').meta({ description: 'How sluice proves who it is.' }),
      tokenEndpoint: matching(/^https?:\/\/\S+$/, 'an http(s) URL').meta({
        description: 'OAuth 2 token endpoint, asked with the client credentials grant (`oauthbearer`).',
      }),
      clientId: z.string().min(1).meta({ description: 'OAuth client id (`oauthbearer`).' }),
      clientSecret: secret('the client secret').meta({ description: 'OAuth client secret (`oauthbearer`).' }),
      scope: z.string().min(1).optional().meta({ description: 'OAuth scope to ask for (`oauthbearer`).' }),
    }),
  ])
  .optional()
  .meta({ description: 'SASL authentication. Off unless given.' });

const tls = z
  .union([
    z.boolean(),
    z.strictObject({
      ca: filePath()
        .optional()
        .meta({ description: 'PEM file of the authorities to trust, instead of those of the system.' }),
      cert: filePath().optional().meta({ description: 'PEM file of the certificate that sluice presents.' }),
      key: filePath().optional().meta({ description: 'PEM file of its private key.' }),
    }),
  ])
  .transform((value, context) => {
    if (typeof value === 'boolean') return value ? {} : undefined;
    if ((value.cert === undefined) !== (value.key === undefined)) {
      const [there, missing] = value.cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
      context.addIssue({
        code: 'custom',
        path: [there],
        input: value,
        message: `needs \`${missing}\` beside it`,
        params: { wayOut: `add ${missing}: with its PEM file, or remove ${there}` },
      });
    }
    return value;
  })
  .prefault(false)
  .meta({ description: 'TLS to the brokers. `true`: trust the authorities of the system.' });

export const kafka = z
  .strictObject({
    brokers: z.array(broker).min(1).default(['localhost:9092']).meta({
      description: 'Brokers to learn the cluster from; one that is up is enough.',
    }),
    clientId: z
      .string()
      .min(1)
      .max(249)
      .default('sluice')
      .meta({ description: "Name in the brokers' logs and quotas." }),
    compression: compression.default('none').meta({
      description: 'Compression of record batches. `zstd` needs Node 22.15 or newer.',
    }),
    tls,
    sasl,
    connectionTimeout: duration('5s', 'How long a connection may take to open.', { min: '100ms', max: '2m' }),
    requestTimeout: duration('30s', 'How long a broker may take to answer before the same chunk is sent again.', {
      min: '1s',
      max: '10m',
    }),
    createTopics: newTopic
      .extend({ enabled: flag(true, 'Create a target topic that does not exist.') })
      .prefault({})
      .meta({ description: 'Topics that do not exist yet.' }),
    idempotent: flag(true, 'Let the brokers recognise a chunk that is sent again, so that a retry makes no duplicate.'),
  })
  .prefault({})
  .meta({ description: 'The cluster that messages go to.' });
