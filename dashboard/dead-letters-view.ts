/** Dead letters: how many and why, each with payload and headers, and put in again. */
import type { DeadLetterStatus, ReplayCounts, StoredDeadLetter } from '../src/status.ts';
import { ask, errorText } from './api.ts';
import { field, h, keyed, setText, show } from './dom.ts';
import { bytes, clock, count, plural, pretty } from './format.ts';
import { act, type View } from './view.ts';

const LIMIT = 100;
/** It reads from Kafka: not every half second. */
const REFRESH_MS = 5_000;

export function deadLettersView(): View {
  const kinds = h('ul', { class: 'kinds' });
  const code = h('input', {
    placeholder: 'All',
    spellcheck: 'false',
    autocomplete: 'off',
    list: 'codes',
    class: 'mono',
  });
  const codes = h('datalist', { id: 'codes' });
  const says = h('p', { class: 'fact', role: 'status' });
  const list = h('ul', { class: 'letters' });
  const replayAll = h('button', { type: 'button' }, 'Replay all …');
  const replaySays = h('span', { class: 'says', role: 'status' });
  let mayAct = false;
  let asking = false;
  let askedAt = 0;
  let counted = -1;

  const showKinds = keyed<DeadLetterStatus>(
    kinds,
    (kind) => `${kind.code} ${kind.route}`,
    (kind) => {
      const records = h('b');
      const node = h(
        'li',
        {},
        records,
        h('span', { class: 'mono' }, ` ${kind.code}`),
        h('span', { class: 'faint' }, kind.route === '' ? '' : ` route ${kind.route}`),
      );
      codes.append(h('option', { value: kind.code }));
      return { node, update: (now) => setText(records, count(now.records)) };
    },
  );
  const showLetters = keyed<StoredDeadLetter>(
    list,
    ({ partition, offset }) => `${partition}:${offset}`,
    (letter) => letterItem(letter, () => mayAct),
  );

  const filter = (): { code?: string } => (code.value === '' ? {} : { code: code.value });
  const refresh = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    askedAt = Date.now();
    try {
      const query = new URLSearchParams({ limit: String(LIMIT), ...filter() });
      const { items } = await ask<{ items: StoredDeadLetter[] }>(`dead-letters/records?${query.toString()}`);
      showLetters(items);
      setText(
        says,
        items.length === 0
          ? 'The dead-letter topic holds none.'
          : `The newest ${count(items.length)} of the dead-letter topic`,
      );
    } catch (error) {
      setText(says, errorText(error));
    }
    asking = false;
  };
  code.addEventListener('change', () => void refresh());
  const dialog = replayDialog(filter, async (counts) => {
    setText(replaySays, replayText(counts));
    await refresh();
  });
  replayAll.addEventListener('click', () => dialog.open());

  return {
    node: h(
      'div',
      { class: 'view' },
      h('h1', {}, 'Dead letters'),
      h(
        'section',
        { class: 'card' },
        h('h2', {}, 'Since the start'),
        kinds,
        h('p', { class: 'fact' }, 'By code and route. The records themselves are in Kafka, and stay there.'),
      ),
      h(
        'section',
        { class: 'card' },
        h('h2', {}, 'Records'),
        h('div', { class: 'row' }, field('Code', code), codes, replayAll, replaySays),
        says,
        list,
      ),
      dialog.node,
    ),
    opened: () => void refresh(),
    update({ overview: { caller, status } }) {
      mayAct = caller.role === 'operator';
      replayAll.disabled = !mayAct;
      showKinds(status.deadLetters);
      show(kinds, status.deadLetters.length > 0);
      const now = status.deadLetters.reduce((sum, each) => sum + each.records, 0);
      // What is new is in Kafka by the time that it is delivered.
      if (now !== counted || Date.now() - askedAt > REFRESH_MS) {
        if (Date.now() - askedAt > 900) {
          counted = now;
          void refresh();
        }
      }
    },
  };
}

function letterItem(letter: StoredDeadLetter, mayAct: () => boolean): { node: HTMLElement; update(): void } {
  const {
    partition,
    offset,
    receivedAt,
    code,
    reason,
    route,
    topic,
    clientId,
    payload,
    payloadEncoding,
    payloadBytes,
    incomplete,
    sluiceId,
  } = letter;
  const button = h('button', { type: 'button', class: 'small' }, 'Replay');
  const says = h('span', { class: 'says', role: 'status' });
  button.addEventListener('click', () => {
    void act(button, says, async () => replayText(await ask<ReplayCounts>('dead-letters/replay', { sluiceId })));
  });
  const facts: (readonly [string, string])[] = [
    ['from', clientId],
    ...(route === '' ? [] : [['route', route] as const]),
    ['at', `${new Date(receivedAt).toISOString()}, partition ${partition}, offset ${offset}`],
    ...letter.headers,
  ];
  const cut = payloadBytes > payload.length && payloadEncoding === 'utf8' ? `, the first ${bytes(payload.length)}` : '';
  const node = h(
    'li',
    {},
    h(
      'details',
      {},
      h(
        'summary',
        {},
        h('time', {}, clock(receivedAt)),
        h('span', { class: 'badge warning' }, code),
        h('span', { class: 'mono' }, topic),
        h('span', { class: 'reason' }, reason),
      ),
      h('p', { class: 'what' }, reason),
      h('pre', { tabindex: 0, 'aria-label': 'Payload' }, payloadEncoding === 'utf8' ? pretty(payload) : payload),
      h(
        'p',
        { class: 'fact' },
        `Payload, ${bytes(payloadBytes)}${payloadEncoding === 'base64' ? ', as base64' : ''}${cut}`,
      ),
      h(
        'dl',
        { class: 'facts' },
        ...facts.flatMap(([name, text]) => [h('dt', {}, name), h('dd', { class: 'mono' }, text)]),
      ),
      h(
        'div',
        { class: 'row' },
        ...(incomplete === undefined
          ? [button, says]
          : [h('p', { class: 'fact' }, `It cannot be put in again: ${incomplete}.`)]),
      ),
    ),
  );
  return {
    node,
    update: () => {
      if (!mayAct()) button.disabled = true;
    },
  };
}

function replayText({ found, replayed, before, noRoute, incomplete }: ReplayCounts): string {
  const parts = [
    replayed > 0 ? `${count(replayed)} put in again` : '',
    before > 0 ? `${count(before)} put in before` : '',
    noRoute > 0 ? `${count(noRoute)} on no route now` : '',
    incomplete > 0 ? `${count(incomplete)} cut when written` : '',
  ].filter((part) => part !== '');
  return parts.length > 0 ? parts.join(', ') : `${plural(found, 'dead letter')} found`;
}

/** Counts first, and asks. */
function replayDialog(
  filter: () => { code?: string },
  done: (counts: ReplayCounts) => Promise<void>,
): { node: HTMLDialogElement; open(): void } {
  const what = h('p', { role: 'status' });
  const go = h('button', { type: 'button', class: 'primary' }, 'Put them in again');
  const cancel = h('button', { type: 'button' }, 'Cancel');
  const says = h('span', { class: 'says', role: 'status' });
  const node = h(
    'dialog',
    { 'aria-labelledby': 'replay-title' },
    h('h2', { id: 'replay-title' }, 'Replay dead letters'),
    what,
    h('div', { class: 'row' }, go, cancel, says),
  );
  cancel.addEventListener('click', () => node.close());
  go.addEventListener('click', () => {
    void act(go, says, async () => {
      const counts = await ask<ReplayCounts>('dead-letters/replay', filter());
      node.close();
      await done(counts);
      return '';
    });
  });
  return {
    node,
    open: () => {
      says.textContent = '';
      what.textContent = 'Counting …';
      go.disabled = true;
      node.showModal();
      ask<ReplayCounts>('dead-letters/replay', { ...filter(), dryRun: true }).then(
        (counts) => {
          what.textContent = `${plural(counts.found, 'dead letter')} found; ${count(counts.replayed)} would go through the routes of now, ${count(counts.before)} went before, ${count(counts.noRoute)} have no route, ${count(counts.incomplete)} were cut when written.`;
          go.disabled = counts.replayed === 0;
        },
        (error: unknown) => (what.textContent = errorText(error)),
      );
    },
  };
}
