/**
 * What is measured, as data. The runner gives each scenario the load of the command line, over it the scenario's own
 * `load`; scenarios with `standard: false` run when --only names them.
 *
 * - server: what is under test: 'aedes', 'sluice' or 'kafkajs' (which publishes by itself);
 * - store: sluice's buffer; sink: 'null' counts and drops, 'kafka' is a real cluster, undefined: nothing is forwarded.
 *
 * @typedef {{ clients: number, window: number, sizeBytes: number, qos: 0 | 1 | 2, rate: number | undefined,
 *   partitions: number }} Load
 * @typedef {{ name: string, title: string, server: 'aedes' | 'sluice' | 'kafkajs', store?: 'level' | 'redis' | 'memory',
 *   sink?: 'null' | 'kafka', standard?: boolean, load?: Partial<Load> }} Scenario
 */

export const BASELINE = 'aedes';

/** @type {Scenario[]} */
export const scenarios = [
  { name: BASELINE, title: 'bare aedes, acks only', server: 'aedes' },
  { name: 'level-null', title: 'sluice, LevelDB, null sink', server: 'sluice', store: 'level', sink: 'null' },
  { name: 'redis-null', title: 'sluice, Redis, null sink', server: 'sluice', store: 'redis', sink: 'null' },
  { name: 'level-kafka', title: 'sluice, LevelDB -> Kafka', server: 'sluice', store: 'level', sink: 'kafka' },
  { name: 'redis-kafka', title: 'sluice, Redis -> Kafka', server: 'sluice', store: 'redis', sink: 'kafka' },
  { name: 'kafkajs', title: "kafkajs' producer -> Kafka", server: 'kafkajs', sink: 'kafka' },
  {
    name: 'level-kafka-5k',
    title: 'LevelDB -> Kafka at 5,000/s',
    server: 'sluice',
    store: 'level',
    sink: 'kafka',
    standard: false,
    load: { rate: 5_000 },
  },
  {
    name: 'redis-kafka-5k',
    title: 'Redis -> Kafka at 5,000/s',
    server: 'sluice',
    store: 'redis',
    sink: 'kafka',
    standard: false,
    load: { rate: 5_000 },
  },
];

/**
 * Ratios to aim at, each to bare aedes in the same run. `of` is a path into a scenario's result.
 *
 * @type {{ scenario: string, of: string, title: string, atLeast?: number, atMost?: number }[]}
 */
export const targets = [
  { scenario: 'redis-null', of: 'acknowledgedPerSecond', title: 'acknowledged, Redis, null sink', atLeast: 0.6 },
  { scenario: 'redis-kafka', of: 'deliveredPerSecond', title: 'delivered, Redis -> Kafka', atLeast: 0.4 },
  { scenario: 'redis-kafka', of: 'cpuPerMessageUs', title: 'CPU per message, Redis -> Kafka', atMost: 1.8 },
];

/**
 * The order of a run: the chosen scenarios with the baseline before and after them, so that a machine that drifts is
 * seen to. `only` is a regular expression; a name that it matches is chosen.
 *
 * @param {string | undefined} only
 */
export function plan(only) {
  const pattern = only === undefined ? undefined : new RegExp(only);
  const chosen = scenarios.filter(({ name, standard = true }) =>
    pattern === undefined ? standard : pattern.test(name),
  );
  const baseline = chosen.find(({ name }) => name === BASELINE);
  const others = chosen.filter((scenario) => scenario !== baseline);
  return baseline !== undefined && others.length > 0 ? [baseline, ...others, baseline] : chosen;
}
