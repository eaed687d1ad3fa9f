/** Routes with their counts, and what they would make of a message that nobody has sent. */
import type { RouteStatus } from '../src/status.ts';
import { ask } from './api.ts';
import { cell, field, h, keyed, setText, table } from './dom.ts';
import { clock, count, pretty, rate } from './format.ts';
import { act, type Moment, type View } from './view.ts';

/** What POST /api/v1/explain answers; bytes are text. */
interface Explained {
  readonly routes: readonly {
    readonly name: string;
    readonly from: string;
    readonly records: boolean;
    readonly why?: string;
  }[];
  readonly records: readonly {
    readonly route: string;
    readonly topic: string;
    readonly timestamp: number;
    readonly key: string | null;
    readonly headers: readonly (readonly [name: string, value: string])[];
    readonly value: string;
  }[];
  readonly outcome: string;
}

interface Row extends RouteStatus {
  readonly perSecond: number | undefined;
  readonly deadLetters: number;
}

const RATE_WINDOW_MS = 2_000;

export function routesView(): View {
  const numbers = ['Records', 'Per second', 'Dead letters'];
  const head = ['Route', 'From MQTT', 'To Kafka', ...numbers];
  const { node: rows, body } = table(head, 'Routes', numbers);
  const showRoutes = keyed<Row>(
    body,
    ({ name }) => name,
    () => {
      const cells = head.map((label) => cell(label, { class: numbers.includes(label) ? 'number' : 'mono' }));
      return {
        node: h('tr', {}, ...cells),
        update: (route) => {
          const texts = [
            route.name,
            route.from,
            route.to,
            count(route.records),
            rate(route.perSecond),
            count(route.deadLetters),
          ];
          texts.forEach((text, index) => setText(cells[index]!, text));
          cells[5]!.classList.toggle('warning', route.deadLetters > 0);
        },
      };
    },
  );
  const seen: { readonly at: number; readonly records: ReadonlyMap<string, number> }[] = [];
  return {
    node: h(
      'div',
      { class: 'view' },
      h('h1', {}, 'Routes'),
      h('section', { class: 'card' }, rows, h('p', { class: 'fact' }, 'Counts since the start of this process.')),
      explainPart(),
    ),
    update({ overview: { at, status } }: Moment) {
      const before = seen.find((each) => at - each.at <= RATE_WINDOW_MS + 1_000);
      showRoutes(
        status.routes.map((route) => {
          const records = before?.records.get(route.name);
          return {
            ...route,
            perSecond:
              records === undefined || before === undefined || before.at >= at
                ? undefined
                : Math.max(0, ((route.records - records) * 1_000) / (at - before.at)),
            deadLetters: status.deadLetters
              .filter((each) => each.route === route.name)
              .reduce((sum, each) => sum + each.records, 0),
          };
        }),
      );
      seen.push({ at, records: new Map(status.routes.map(({ name, records }) => [name, records])) });
      while ((seen[0]?.at ?? at) < at - RATE_WINDOW_MS - 1_000) seen.shift();
    },
  };
}

function explainPart(): HTMLElement {
  const topic = h('input', {
    required: true,
    value: 'devices/d1/telemetry',
    spellcheck: 'false',
    autocomplete: 'off',
    class: 'mono',
  });
  const payload = h('textarea', { rows: 3, spellcheck: 'false', class: 'mono' }, '{"celsius": 21.5}');
  const client = h('input', { value: 'd1', spellcheck: 'false', autocomplete: 'off', class: 'mono' });
  const button = h('button', { class: 'primary' }, 'Explain');
  const says = h('span', { class: 'says', role: 'status' });
  const answer = h('div', { class: 'answer', 'data-testid': 'explanation' });
  const form = h(
    'form',
    {},
    h('div', { class: 'row' }, field('MQTT topic', topic, { wide: true }), field('Client id', client)),
    field('Payload', payload, { wide: true }),
    h('div', { class: 'row' }, button, says),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void act(button, says, async () => {
      const request = {
        topic: topic.value,
        payload: payload.value,
        ...(client.value === '' ? {} : { clientId: client.value }),
      };
      const explained = await ask<Explained>('explain', request).catch((error: unknown) => {
        answer.replaceChildren();
        throw error;
      });
      answer.replaceChildren(...explanation(explained));
      return `Outcome: ${explained.outcome}`;
    });
  });
  return h(
    'section',
    { class: 'card' },
    h('h2', {}, 'Explain'),
    h(
      'p',
      { class: 'fact' },
      'Which routes would take a message, why the others would not, and the records, byte for byte. Nothing is sent.',
    ),
    form,
    answer,
  );
}

function explanation({ routes, records }: Explained): HTMLElement[] {
  const judged = h(
    'ul',
    { class: 'judged' },
    ...routes.map(({ name, from, records: made, why }) =>
      h(
        'li',
        { class: made ? 'yes' : 'no' },
        h('b', { class: 'mono' }, name),
        name === from ? '' : h('span', { class: 'mono faint' }, ` ${from}`),
        h('span', {}, ` ${why ?? 'makes a record'}`),
      ),
    ),
  );
  return [judged, ...records.map(recordCard)];
}

function recordCard({ route, topic, timestamp, key, headers, value }: Explained['records'][number]): HTMLElement {
  const facts: (readonly [string, string])[] = [
    ['topic', topic],
    ['route', route],
    ['time', clock(timestamp)],
    ['key', key ?? '(none)'],
    ...headers,
  ];
  return h(
    'article',
    { class: 'record' },
    h('h3', {}, 'Record'),
    h(
      'dl',
      { class: 'facts' },
      ...facts.flatMap(([name, text]) => [h('dt', {}, name), h('dd', { class: 'mono' }, text)]),
    ),
    h('pre', { tabindex: 0, 'aria-label': 'Value' }, pretty(value)),
  );
}
