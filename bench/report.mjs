/** Ratios to bare aedes, the targets, and the whole of a run as JSON. */
import { BASELINE, targets } from './scenarios.mjs';

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Bare aedes does not deliver; what is delivered is compared with what it acknowledges. */
const BASELINE_FIELD = { deliveredPerSecond: 'acknowledgedPerSecond' };

/**
 * @param {any[]} results of measure(), in the order of the run
 */
export function compare(results) {
  const rounds = results.filter(({ scenario }) => scenario === BASELINE);
  if (rounds.length === 0) return { baseline: undefined, ratios: [] };
  const of = (field) => mean(rounds.map((round) => round[field]));
  const rates = rounds.map((round) => round.acknowledgedPerSecond);
  const baseline = {
    rounds: rounds.length,
    acknowledgedPerSecond: of('acknowledgedPerSecond'),
    cpuPerMessageUs: of('cpuPerMessageUs'),
    /** How far its rounds are apart: what differs by less than this is not a difference. */
    drift: Math.max(...rates) / Math.min(...rates) - 1,
  };
  const ratios = targets.flatMap(({ scenario, of: field, title, atLeast, atMost }) => {
    const result = results.find((one) => one.scenario === scenario);
    if (result?.[field] === undefined) return [];
    const ratio = result[field] / of(BASELINE_FIELD[field] ?? field);
    const met = (atLeast === undefined || ratio >= atLeast) && (atMost === undefined || ratio <= atMost);
    return [{ scenario, of: field, title, ratio, atLeast, atMost, met }];
  });
  return { baseline, ratios };
}

export const wrongCounts = (results) =>
  results.flatMap(({ scenario, counts }) => counts.wrong.map((text) => `${scenario}: ${text}`));

/** Version of the JSON's shape. */
const FORMAT = 1;

export function report({ startedAt, version, options, machine, results, failures }) {
  return {
    format: FORMAT,
    startedAt,
    version,
    options,
    machine,
    measured: {
      publishToAcknowledged:
        'Closed loop: from the write of a message, which its publisher makes when a quarter of its window is free, to the ' +
        'read of its acknowledgement (QoS 2: PUBREC; QoS 0: the PINGRESP behind it); every message. With a full window it ' +
        'is what window and rate make it. With a rate: from the scheduled time, whether it could be sent then or not.',
      publishToConsumed: 'From the same moment to the arrival of its record at a consumer; every message.',
      cpuPerMessageUs:
        'User and system time of all threads of the server process over the window, per message delivered.',
    },
    results,
    ...compare(results),
    failures,
  };
}
