/** The first section: is all well, and where are the messages? */
import type { Advice } from '../src/http/advice.ts';
import type { LaneStatus, SluiceStatus } from '../src/status.ts';
import { Chart } from './chart.ts';
import { cell, h, keyed, setAttribute, setText, show, table, type Shown } from './dom.ts';
import { bytes, count, duration, latency, plural, rate } from './format.ts';
import type { Now, Series } from './history.ts';
import type { Moment, View } from './view.ts';

/** Of when the buffer is full: beyond, a rate of now says nothing. */
const FORESEEN_MS = 30 * 86_400_000;

export function overviewView(): View {
  const verdict = verdictPart();
  const path = pathPart();
  const charts = chartsPart();
  const ledger = ledgerPart();
  const lanes = lanesPart();
  const events = eventsPart();
  const node = h(
    'div',
    { class: 'view' },
    verdict.node,
    path.node,
    charts.node,
    ledger.node,
    h('div', { class: 'columns' }, lanes.node, events.node),
  );
  return {
    node,
    update(moment) {
      for (const part of [verdict, path, charts, ledger, lanes, events]) part.update(moment);
    },
    repaint: () => charts.repaint(),
  };
}

function verdictPart(): Shown<Moment> {
  const title = h('h1');
  const detail = h('p');
  const list = h('ul', { class: 'advice' });
  const node = h(
    'section',
    { class: 'verdict', 'data-testid': 'verdict' },
    h('div', { class: 'headline' }, title, detail),
    list,
  );
  const showAdvice = keyed<Advice>(list, ({ id }) => id, adviceItem);
  return {
    node,
    update({ overview: { advice, status } }) {
      const worst = advice.find(({ severity }) => severity !== 'notice');
      setAttribute(node, 'data-severity', worst?.severity ?? 'ok');
      setText(title, worst === undefined ? 'All is well' : worst.severity === 'critical' ? 'Act now' : 'Needs a look');
      setText(detail, worst === undefined ? wellText(status) : 'What is wrong, and what to do:');
      showAdvice(advice);
    },
  };
}

function adviceItem({ severity }: Advice): Shown<Advice> {
  const what = h('p', { class: 'what' });
  const todo = h('p', { class: 'todo' });
  const node = h('li', { 'data-severity': severity }, what, todo);
  return {
    node,
    update: (advice) => {
      setText(what, advice.what);
      setText(todo, advice.todo);
    },
  };
}

function wellText({ ledger, startedAt, version }: SluiceStatus): string {
  const up = duration(Date.now() - Date.parse(startedAt));
  const waiting = ledger.buffered === 0 ? 'nothing waits' : `${plural(ledger.buffered, 'message')} on the way`;
  return `Every message taken is accounted for, ${waiting}. sluice ${version}, up for ${up}.`;
}

/** Devices, buffer, Kafka: the path of a message as three stations. */
function pathPart(): Shown<Moment> {
  const devices = station('Devices', 'per second taken');
  const buffer = station('Buffer', 'messages wait');
  const kafka = station('Kafka', 'per second delivered');
  const bar = h('div', { class: 'fill', role: 'img' }, h('span'));
  buffer.node.querySelector('.figure')?.after(bar);
  const arrow = (): HTMLElement => h('div', { class: 'arrow', 'aria-hidden': 'true' });
  const node = h(
    'section',
    { class: 'path', 'aria-label': 'The path of a message' },
    devices.node,
    arrow(),
    buffer.node,
    arrow(),
    kafka.node,
  );
  return {
    node,
    update({ overview: { status, words }, now }) {
      const listening = status.listeners.every(({ accepting }) => accepting);
      devices.update({
        state: status.state === 'running' && listening ? 'ok' : 'critical',
        figure: rate(now.taken),
        words: words.listeners,
        facts: [
          lately('Acknowledged in ', now.acknowledge, ''),
          `${rate(now.packets)} PUBLISH packets in, ${rate(now.forwarded)} messages to MQTT subscribers, per second`,
        ],
      });
      const { buffer: store, ledger, kafka: cluster } = status;
      const share = store.maxBytes > 0 ? store.bytes / store.maxBytes : 0;
      buffer.update({
        state: store.error !== undefined ? 'critical' : share > 0.7 ? 'warning' : 'ok',
        figure: count(ledger.buffered),
        words: words.buffer,
        facts: [
          `${bytes(store.bytes)} of ${bytes(store.maxBytes)}${fullIn(store.maxBytes - store.bytes, now.growth, cluster.error !== undefined)}; the oldest waits for ${oldest(status)}`,
          `${store.durability}${now.append === undefined ? '' : `; commits take ${latency(now.append)} (p99)`}`,
        ],
      });
      const percent = Math.round(share * 100);
      setAttribute(bar, 'aria-label', `${percent}% of the buffer is used`);
      bar.classList.toggle('warning', share > 0.7);
      // A custom property, since the policy of the page allows no style attribute.
      bar.style.setProperty('--share', `${Math.min(100, share * 100)}%`);
      kafka.update({
        state: cluster.error !== undefined ? 'warning' : cluster.failingTopics > 0 ? 'warning' : 'ok',
        figure: rate(now.delivered),
        words: words.kafka,
        facts: [
          lately('In Kafka ', now.delivery, ' after arrival'),
          `${cluster.brokers.join(', ')}${now.kafka === undefined ? '' : `; brokers answer in ${latency(now.kafka)} (p99)`}`,
        ],
      });
    },
  };
}

function lately(before: string, { p50, p99 }: Now['acknowledge'], behind: string): string {
  return p50 === undefined ? 'Idle' : `${before}${latency(p50)}${behind} (p99 ${latency(p99)})`;
}

interface StationState {
  readonly state: 'ok' | 'warning' | 'critical';
  readonly figure: string;
  readonly words: string;
  readonly facts: readonly [string, string];
}

function station(title: string, unit: string): Shown<StationState> {
  const figure = h('b', {}, '–');
  const words = h('span');
  const facts = [h('p', { class: 'fact' }), h('p', { class: 'fact' })];
  const node = h(
    'article',
    { class: 'card station', 'data-testid': title.toLowerCase() },
    h('h2', {}, title),
    h('p', { class: 'words' }, h('span', { class: 'dot', 'aria-hidden': 'true' }), words),
    h('p', { class: 'figure' }, figure, h('span', {}, unit)),
    ...facts,
  );
  return {
    node,
    update(next) {
      setAttribute(node, 'data-state', next.state);
      setText(figure, next.figure);
      setText(words, next.words);
      facts.forEach((fact, index) => setText(fact, next.facts[index] ?? ''));
    },
  };
}

function oldest({ buffer }: SluiceStatus): string {
  const times = buffer.shards.flatMap(({ oldestAt }) => (oldestAt === undefined ? [] : [oldestAt]));
  return times.length === 0 ? '0 s' : duration(Date.now() - Math.min(...times));
}

function fullIn(free: number, growth: number | undefined, away: boolean): string {
  if (!away || growth === undefined || growth <= 0) return '';
  const ms = (free / growth) * 1_000;
  return ms > FORESEEN_MS ? '' : `, full in about ${duration(ms)} at this rate`;
}

function chartsPart(): Shown<Moment> & { repaint(): void } {
  const rates = new Chart({
    title: 'Messages per second',
    lines: [
      { label: 'taken', color: 'series-a', filled: true },
      { label: 'delivered', color: 'series-b' },
    ],
    format: (value) => count(value),
  });
  const latencies = new Chart({
    title: 'Latency, 99th percentile',
    lines: [
      { label: 'to the acknowledgement', color: 'series-a' },
      { label: 'to Kafka', color: 'series-b' },
    ],
    format: (value) => latencyTick(value),
    logarithmic: true,
  });
  const depth = new Chart({
    title: 'Messages in the buffer',
    lines: [{ label: 'waiting', color: 'series-c', filled: true }],
    format: (value) => count(value),
  });
  const draw = (
    { times, taken, delivered, acknowledge, delivery, buffered }: Series,
    { now, overview }: Moment,
  ): void => {
    rates.draw([times, taken, delivered], [rate(now.taken), rate(now.delivered)]);
    latencies.draw([times, acknowledge, delivery], [latency(now.acknowledge.p99), latency(now.delivery.p99)]);
    depth.draw([times, buffered], [count(overview.status.ledger.buffered)]);
  };
  return {
    node: h('div', { class: 'charts' }, rates.node, latencies.node, depth.node),
    update: (moment) => draw(moment.history.series, moment),
    repaint: () => [rates, latencies, depth].forEach((chart) => chart.repaint()),
  };
}

function latencyTick(seconds: number): string {
  return seconds < 1 ? `${Number((seconds * 1e3).toPrecision(2))} ms` : `${seconds} s`;
}

function ledgerPart(): Shown<Moment> {
  const terms = ['accepted', 'buffered', 'delivered', 'dead-lettered', 'expired', 'discarded'].map((name, index) => {
    const value = h('b', {}, '0');
    const attributes = {
      class: 'term',
      'data-sign': ['', '=', '+', '+', '+', '+'][index],
      'data-testid': `ledger-${name}`,
    };
    return { value, node: h('div', attributes, h('dt', {}, name), h('dd', {}, value)) };
  });
  const badge = h('span', { class: 'badge', 'data-testid': 'ledger-balance' });
  const node = h(
    'section',
    { class: 'card ledger' },
    h('h2', {}, 'Ledger ', badge),
    h('dl', {}, ...terms.map(({ node }) => node)),
    h('p', { class: 'fact' }, 'In messages, since the buffer was made; kept with it through every restart.'),
  );
  return {
    node,
    update({ overview: { status } }) {
      const { ledger } = status;
      const values = [
        ledger.accepted,
        ledger.buffered,
        ledger.delivered,
        ledger.deadLettered,
        ledger.expired,
        Object.values(ledger.discarded).reduce((sum, each) => sum + each, 0),
      ];
      values.forEach((value, index) => setText(terms[index]!.value, count(value)));
      setText(badge, ledger.imbalance === 0 ? 'balances' : `off by ${count(ledger.imbalance)}`);
      badge.className = `badge ${ledger.imbalance === 0 ? 'ok' : 'critical'}`;
    },
  };
}

interface Lane extends LaneStatus {
  /** Kafka is, as a whole. */
  readonly away: boolean;
}

const LANES_SHOWN = 8;

function lanesPart(): Shown<Moment> {
  const { node: rows, body } = table(['Topic', 'Waiting', 'State'], 'Kafka partitions', ['Waiting']);
  const more = h('p', { class: 'fact' });
  const showLanes = keyed<Lane>(
    body,
    ({ topic, partition }) => `${partition} ${topic}`,
    () => {
      const name = cell('Topic', { class: 'mono' });
      const waiting = cell('Waiting', { class: 'number' });
      const state = cell('State');
      return {
        node: h('tr', {}, name, waiting, state),
        update: ({ topic, partition, queued, faultMs, error, away }) => {
          setText(name, `${topic} [${partition}]`);
          setText(waiting, count(queued));
          setText(
            state,
            error ??
              (away ? 'waits for Kafka' : faultMs === undefined ? 'writes' : `tries again, for ${duration(faultMs)}`),
          );
          state.className = error !== undefined || faultMs !== undefined || away ? 'warning' : '';
        },
      };
    },
  );
  return {
    node: h('section', { class: 'card' }, h('h2', {}, 'Kafka partitions'), rows, more),
    update({ overview: { status, lanes } }) {
      const away = status.kafka.error !== undefined;
      const shown = status.kafka.lanes.slice(0, LANES_SHOWN).map((lane) => ({ ...lane, away }));
      showLanes(shown);
      show(rows, lanes > 0);
      setText(
        more,
        lanes === 0
          ? 'None yet: the first record of a topic opens one.'
          : `${count(shown.length)} of ${count(lanes)}, those that wait longest first.`,
      );
    },
  };
}

/** What was refused and what went wrong, by kind, since the start. */
function eventsPart(): Shown<Moment> {
  const { node: rows, body } = table(['What', 'Times'], 'Refused and reported since the start', ['Times']);
  const none = h('p', { class: 'fact' }, 'Nothing was refused, and nothing went wrong since the start.');
  const showKinds = keyed<readonly [string, number]>(
    body,
    ([name]) => name,
    ([name]) => {
      const times = cell('Times', { class: 'number' });
      const what = cell('What', { class: 'mono' });
      setText(what, name);
      return { node: h('tr', {}, what, times), update: ([, value]) => setText(times, count(value)) };
    },
  );
  return {
    node: h('section', { class: 'card' }, h('h2', {}, 'Refused and reported'), rows, none),
    update({ overview: { status } }) {
      const { refused, events } = status.totals;
      const kinds = [
        ...Object.entries(refused).map(([name, value]) => [`refused: ${name}`, value] as const),
        ...Object.entries(events).map(([name, value]) => [name, value] as const),
      ];
      const shown = kinds
        .filter(([, value]) => value > 0)
        .sort(([, a], [, b]) => b - a)
        .slice(0, 8);
      showKinds(shown);
      show(rows, shown.length > 0);
      show(none, shown.length === 0);
    },
  };
}
