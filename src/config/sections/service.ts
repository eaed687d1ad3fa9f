import { z } from 'zod';
import { duration, integer, size } from '../fields.ts';

export const limits = z
  .strictObject({
    connections: integer(100_000, 'Connected clients, over all listeners. Further ones are refused.', 1, 10_000_000),
    connectionsPerAddress: integer(
      0,
      'Connections from one address (IPv6: from one /64 network). Further ones are closed at once. 0: no limit, since a gateway or load balancer may stand for a whole fleet.',
      0,
      10_000_000,
    ),
    connectionsPerUser: integer(
      0,
      'Clients of one user that are connected, by their client ids. Further ones are refused (MQTT 5: 0x97). 0: no limit.',
      0,
      10_000_000,
    ),
    tlsHandshakes: integer(
      1_000,
      'TLS handshakes under way at the same time, per listener. Connections beyond it are closed, and come back.',
      1,
      1_000_000,
    ),
    messagesPerSecond: integer(0, 'Messages that one client may publish per second. 0: no limit.', 0, 1_000_000),
    bytesPerSecond: size('0B', 'Topic and payload bytes that one client may publish per second. 0: no limit.', {
      min: '0B',
      max: '1GB',
    }),
    overRate: z.enum(['slow', 'disconnect']).default('slow').meta({
      description:
        'What happens to a client that is faster. `slow`: it is read no faster, and nothing of QoS 1 and 2 is lost. `disconnect`: the connection ends (MQTT 5: 0x96 for messages, 0x97 for bytes), and the client resends.',
    }),
    maxPayloadSize: size(
      '256MB',
      'Largest payload of a publish. One that is larger is refused for good (MQTT 5: PUBACK 0x97; else the connection ends).',
      { min: '0B', max: '256MB' },
    ),
    topicLevels: integer(100, 'Levels of a topic or filter.', 1, 100),
    topicMaxBytes: size('65535B', 'Length of a topic or filter, in UTF-8. The default is what MQTT allows.', {
      min: '1B',
      max: '65535B',
    }),
    subscriptionsPerClient: integer(
      1_000,
      'Subscriptions of one client. Further ones are refused (MQTT 5: 0x97, else 0x80).',
      1,
      1_000_000,
    ),
    sessionExpiry: duration(
      '30d',
      'Longest time that a session is kept without a connection: subscriptions and queued messages. Clients of MQTT 5 that ask for more are told so.',
      { min: '1s', max: '3650d' },
    ),
    maxPacketSize: size('256KB', 'Largest MQTT packet. Longer ones close the connection.', {
      min: '1KB',
      max: '256MB',
    }),
    connectTimeout: duration('10s', 'How long a new connection may take to send its CONNECT.', {
      min: '100ms',
      max: '5m',
    }),
    maxKeepAlive: duration(
      '0s',
      'Longest keep alive. A client of MQTT 5 that asks for a longer one, or for none, is told this one. `0s`: any.',
      { min: '0s', max: '18h' },
    ),
    receiveMaximum: integer(
      1_000,
      'QoS 1 and 2 messages that a client may have under way to sluice. One of MQTT 5 that sends more is disconnected (0x93).',
      1,
      65_535,
    ),
    maxInflight: integer(
      1_000,
      'QoS 1 and 2 messages that are under way to one client before it acknowledges, where it does not ask for less.',
      1,
      65_535,
    ),
  })
  .prefault({})
  .meta({ description: 'What one process takes on.' });

export const forward = z
  .strictObject({
    windowBytes: size(
      '32MB',
      'Read from the buffer and not yet settled, over all shards of a process: bounds memory, and duplicates after a crash.',
      {
        min: '1MB',
        max: '1GB',
      },
    ),
    parkingMaxBytes: size(
      '256MB',
      'What may be parked of one topic that cannot be written while others go on, over all shards. Beyond it the topic holds up the buffer. 0: nothing is parked.',
      {
        min: '0B',
        max: '1024TB',
      },
    ),
    chunkRecords: integer(1000, 'Records in one request per partition, at most.', 1, 100_000),
    chunkBytes: size('512KB', 'Bytes in one request per partition, at most; a single larger record is sent alone.', {
      min: '1KB',
      max: '64MB',
    }),
    retry: z
      .strictObject({
        min: duration('100ms', 'First wait before a chunk is sent again.', { min: '1ms', max: '1m' }),
        max: duration('30s', 'Longest wait. Retries go on for as long as it takes.', { min: '1ms', max: '1h' }),
      })
      .check((context) => {
        const { min, max } = context.value;
        if (min.ms > max.ms) {
          context.issues.push({
            code: 'custom',
            path: ['min'],
            input: undefined,
            message: 'is longer than retry.max',
            params: { wayOut: 'make min the shorter of the two', needs: ['max'] },
          });
        }
      })
      .prefault({})
      .meta({ description: 'Waits between attempts, doubling from `min` to `max`, with jitter.' }),
  })
  .prefault({})
  .meta({ description: 'The way from the buffer to Kafka.' });

export const log = z
  .strictObject({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').meta({
      description: 'Least severe level that is written.',
    }),
    format: z.enum(['auto', 'json', 'pretty']).default('auto').meta({
      description: '`auto`: pretty on a terminal, else JSON lines.',
    }),
  })
  .prefault({})
  .meta({ description: 'What sluice writes about itself, to standard error.' });

export const shutdownTimeout = duration(
  '20s',
  'After SIGTERM, how long to go on delivering. What is left stays in the buffer.',
  { min: '0s', max: '1h' },
);
