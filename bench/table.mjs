/** A run as text for a terminal. */

const colour = (code) => (text, on) => (on ? `\u001b[${code}m${text}\u001b[0m` : text);
export const bold = colour(1);
export const red = colour(31);
export const green = colour(32);
export const dim = colour(2);

const rate = (value) => (value === undefined ? '' : Math.round(value).toLocaleString('en'));
const micros = (value) => (value === undefined ? '' : value.toFixed(1));
const millis = (value) => (value === undefined ? '' : value < 10 ? value.toFixed(2) : value.toFixed(1));
const percent = (value) => (value === undefined ? '' : `${Math.round(value * 100)}%`);
const megabytes = (value) => (value === undefined ? '' : `${Math.round(value / 2 ** 20)}`);

/** Two lines of heading, and how a result fills the cell. */
const columns = [
  ['', 'scenario', ({ title }) => title],
  ['acked', 'msg/s', (result) => rate(result.acknowledgedPerSecond)],
  ['p50', 'ms', (result) => millis(result.publishToAcknowledged.p50Ms)],
  ['p99', 'ms', (result) => millis(result.publishToAcknowledged.p99Ms)],
  ['in Kafka', 'msg/s', (result) => rate(result.deliveredPerSecond)],
  ['p50', 'ms', (result) => millis(result.publishToConsumed?.p50Ms)],
  ['p99', 'ms', (result) => millis(result.publishToConsumed?.p99Ms)],
  ['CPU/msg', 'us', (result) => micros(result.cpuPerMessageUs)],
  ['RSS', 'MB', (result) => megabytes(result.rssBytes)],
  ['server', 'CPU', (result) => percent(result.cpuShare.server)],
  ['gener.', 'CPU', (result) => percent(result.cpuShare.generator)],
  ['cons.', 'CPU', (result) => percent(result.cpuShare.consumer)],
  ['Redis', 'CPU', (result) => percent(result.cpuShare.redis)],
  ['Kafka', 'CPU', (result) => percent(result.cpuShare.kafka)],
  ['counts', '', ({ counts }) => (counts.wrong.length === 0 ? 'agree' : 'DIFFER')],
];

/** @param {any[]} results @param {boolean} colours */
export function table(results, colours) {
  const rows = [
    columns.map(([first]) => first),
    columns.map(([, second]) => second),
    ...results.map((result) => columns.map(([, , cell]) => cell(result))),
  ];
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  );
  const rule = '-'.repeat(Math.max(...lines.map((line) => line.length)));
  const [first, second, ...rest] = lines;
  return [bold(first, colours), bold(second, colours), dim(rule, colours), ...rest].join('\n');
}

/** @param {{ baseline: any, ratios: any[] }} comparison @param {boolean} colours */
export function ratioLines({ baseline, ratios }, colours) {
  if (baseline === undefined) return [];
  const rounds = baseline.rounds > 1 ? `, ${baseline.rounds} rounds that differ by ${percent(baseline.drift)}` : '';
  const heading = `to bare aedes (${rate(baseline.acknowledgedPerSecond)} msg/s at ${micros(baseline.cpuPerMessageUs)} us${rounds}):`;
  const width = Math.max(0, ...ratios.map(({ title }) => title.length));
  return [
    ratios.length > 0 ? `Ratios ${heading}` : `Bare aedes: ${heading.slice('to bare aedes '.length, -1)}`,
    ...ratios.map(({ title, ratio, atLeast, atMost, met }) => {
      const target = atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`;
      return `  ${title.padEnd(width)}  ${ratio.toFixed(2)}  target ${target}  ${met ? green('met', colours) : red('not met', colours)}`;
    }),
  ];
}

/** The facts that a reader needs to place the figures. */
export function machineLine({ cores, cpu, node, appendAndSync }) {
  const sync = `fdatasync of 4 KB p50 ${millis(appendAndSync.p50Ms)} ms, p99 ${millis(appendAndSync.p99Ms)} ms`;
  return `${cores} cores${cpu ? ` (${cpu})` : ''}, Node ${node.slice(1)}, ${sync}`;
}
