import { z } from 'zod';
import { duration, filePath, flag, integer, matching, optionalSize, Size, size } from '../fields.ts';

const gigabyte = 2 ** 30;

/** What the disk of a small machine can spare, and what a Redis beside other things can hold in RAM. */
const standardMaxBytes = { level: 10 * gigabyte, redis: gigabyte, memory: gigabyte } as const;

export const buffer = z
  .strictObject({
    store: z.enum(['level', 'redis', 'memory']).default('level').meta({
      description:
        '`level`: embedded LevelDB, one process. `redis`: shared by many processes. `memory`: for tests only, not durable: a restart loses what it holds.',
    }),
    path: filePath().default('./sluice-data').meta({
      description: 'Data directory: the embedded buffer, sessions and the admin socket. One running process each.',
      format: 'directory-path',
    }),
    url: matching(/^rediss?:\/\/\S+$/, 'a URL such as redis://localhost:6379 or rediss://user:password@host:6380/0')
      .optional()
      .meta({ description: 'Redis server, for `store: redis`. A password in it is never shown.' }),
    namespace: matching(/^[A-Za-z0-9._-]{1,64}$/, '1 to 64 letters, digits, dots, dashes or underscores')
      .default('sluice')
      .meta({ description: 'Prefix of the keys in Redis; processes with the same namespace share one buffer.' }),
    shards: integer(
      4,
      'Number of logs. Stored with the data: cannot be changed while the buffer holds messages.',
      1,
      256,
    ),
    maxBytes: optionalSize(
      'Hard limit of the buffer. Beyond it acknowledgements are withheld; nothing is dropped. Default 10GB with `level`; 1GB with `redis` and `memory`, which hold it in RAM.',
      { min: '1MB', max: '1024TB' },
    ),
    softLimit: z.number().min(0.05).max(1).default(0.8).meta({
      description: 'Fraction of `maxBytes` from which publishers are slowed down.',
    }),
    appendTimeout: duration(
      '10s',
      'How long an append may take before the connections that wait for it are closed, unacknowledged.',
      {
        min: '100ms',
        max: '5m',
      },
    ),
    tailMaxBytes: size(
      '32MB',
      'Memory for what was committed just now and not yet forwarded; beyond it the store is read.',
      {
        min: '1MB',
        max: '16GB',
      },
    ),
    allowWeakDurability: flag(
      false,
      'Start although the store may lose acknowledged messages (Redis without AOF `appendfsync always`). Said at start, in health and in metrics.',
    ),
  })
  .check((context) => {
    const { store, url } = context.value;
    if (store === 'redis' && url === undefined) {
      context.issues.push({
        code: 'custom',
        path: ['url'],
        input: undefined,
        message: 'is missing: store: redis needs the server it connects to',
        params: {
          wayOut: 'add url: redis://localhost:6379 to buffer (or set SLUICE_BUFFER_URL), or use store: level',
          needs: ['store'],
        },
      });
    }
    if (store !== 'redis' && url !== undefined) {
      context.issues.push({
        code: 'custom',
        path: ['url'],
        input: url,
        message: `is only for store: redis, but the store is ${store}`,
        params: { wayOut: 'set store: redis, or remove url', needs: ['store'] },
      });
    }
  })
  .transform((value) => ({ ...value, maxBytes: value.maxBytes ?? new Size(standardMaxBytes[value.store]) }))
  .prefault({})
  .meta({ description: 'Where acknowledged messages are kept until Kafka has them.' });
