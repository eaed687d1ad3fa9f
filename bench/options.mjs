/** The command line of the benchmark. */
import { parseArgs } from 'node:util';
import { STAMP_BYTES } from './stamp.mjs';
import { scenarios } from './scenarios.mjs';

const declared = /** @type {const} */ ({
  clients: { type: 'string', default: '50' },
  window: { type: 'string', default: '20' },
  size: { type: 'string', default: '100' },
  qos: { type: 'string', default: '1' },
  rate: { type: 'string' },
  partitions: { type: 'string', default: '8' },
  seconds: { type: 'string', default: '8' },
  'warm-up': { type: 'string', default: '2' },
  only: { type: 'string' },
  json: { type: 'string' },
  profile: { type: 'string' },
  help: { type: 'boolean', default: false },
});

export const HELP = `Usage: npm run bench -- [options]

  --clients N       MQTT connections (50)
  --window N        unacknowledged messages per connection (20)
  --size BYTES      payload (100, at least ${STAMP_BYTES})
  --qos 0|1|2       (1)
  --rate N          messages per second on a schedule, over all connections; without: as fast as acknowledged
  --partitions N    of the Kafka topic (8)
  --seconds N       measuring window of each scenario (8)
  --warm-up N       seconds before it (2)
  --only PATTERN    scenarios whose name matches this regular expression
  --json FILE       write everything that was measured
  --profile DIR     write a CPU profile of each server over its measuring window (it slows the server down)
  --help

Uses KAFKA_BROKERS and REDIS_URL where they are set; else starts both and stops them again.
Exit code 1: what was acknowledged and what came out do not agree, or a scenario failed.

Scenarios (* runs without --only):
${scenarios.map(({ name, title, standard = true }) => `  ${standard ? '*' : ' '} ${name.padEnd(16)} ${title}`).join('\n')}
`;

export class UsageError extends Error {}

function numeric(values, name, least, most = Number.MAX_SAFE_INTEGER, whole = true) {
  const value = Number(values[name]);
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    const kind = whole ? 'a whole number' : 'a number';
    const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`;
    throw new UsageError(`--${name} ${values[name]}: expected ${kind} ${range}`);
  }
  return value;
}

/** @param {string[]} argv */
export function readOptions(argv) {
  let values;
  try {
    ({ values } = parseArgs({ args: argv, options: declared, strict: true }));
  } catch (error) {
    throw new UsageError(error.message, { cause: error });
  }
  if (values.only !== undefined) {
    try {
      new RegExp(values.only);
    } catch (error) {
      throw new UsageError(`--only: ${error.message}`, { cause: error });
    }
  }
  return {
    help: values.help,
    only: values.only,
    json: values.json,
    profile: values.profile,
    seconds: numeric(values, 'seconds', 0.1, 3_600, false),
    warmUpSeconds: numeric(values, 'warm-up', 0, 600, false),
    load: {
      clients: numeric(values, 'clients', 1, 65_536),
      window: numeric(values, 'window', 1, 65_535),
      sizeBytes: numeric(values, 'size', STAMP_BYTES, 2 ** 20),
      qos: /** @type {0 | 1 | 2} */ (numeric(values, 'qos', 0, 2)),
      rate: values.rate === undefined ? undefined : numeric(values, 'rate', 1),
      partitions: numeric(values, 'partitions', 1, 1_000),
    },
  };
}
