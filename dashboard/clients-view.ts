/** Connected clients: found by a part of their client id or user, and disconnected. */
import type { ClientStatus, Page } from '../src/http/port.ts';
import { ask, errorText } from './api.ts';
import { cell, field, h, keyed, setText, show, table } from './dom.ts';
import { bytes, count, duration } from './format.ts';
import { act, type View } from './view.ts';

const PAGE = 50;
const PAGE_MAX = 1_000;
const REFRESH_MS = 1_000;

export function clientsView(): View {
  const search = h('input', {
    type: 'search',
    placeholder: 'Part of a client id or user',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const total = h('p', { class: 'fact', role: 'status' });
  const head = ['Client id', 'User', 'Protocol', 'From', 'Connected', 'Subscriptions', 'Received', 'Sent', 'Action'];
  const { node: rows, body } = table(head, 'Connected clients', ['Subscriptions', 'Received', 'Sent']);
  const more = h('button', { type: 'button' }, 'Show more');
  let limit = PAGE;
  let mayAct = false;
  let asking = false;
  let askedAt = 0;

  const showClients = keyed<ClientStatus>(
    body,
    ({ clientId, connectedAt }) => `${clientId} ${connectedAt}`,
    (client) => {
      const cells = head
        .slice(0, -1)
        .map((label, index) => cell(label, { class: index === 0 ? 'mono' : index > 4 ? 'number' : '' }));
      const button = h(
        'button',
        { type: 'button', class: 'small', 'aria-label': `Disconnect ${client.clientId}` },
        'Disconnect',
      );
      const says = h('span', { class: 'says' });
      const action = cell('Action');
      action.append(h('span', {}, button, ' ', says));
      button.addEventListener('click', () => {
        void act(button, says, async () => {
          await ask(`clients/${encodeURIComponent(client.clientId)}/disconnect`, {});
          return 'disconnected';
        });
      });
      return {
        node: h('tr', {}, ...cells, action),
        update: (now) => {
          const texts = [
            now.clientId,
            now.user === '' ? '–' : now.user,
            `MQTT ${now.protocol}`,
            `${now.listener} ${now.remoteAddress}`,
            duration(Date.now() - Date.parse(now.connectedAt)),
            count(now.subscriptions),
            bytes(now.receivedBytes),
            bytes(now.sentBytes),
          ];
          texts.forEach((text, index) => setText(cells[index]!, text));
          if (!mayAct) button.disabled = true;
        },
      };
    },
  );

  const refresh = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    askedAt = Date.now();
    const query = new URLSearchParams({ search: search.value, limit: String(limit) });
    try {
      const page = await ask<Page<ClientStatus>>(`clients?${query.toString()}`);
      showClients(page.items);
      setText(
        total,
        page.total === 0
          ? search.value === ''
            ? 'No client is connected.'
            : 'No connected client matches.'
          : `${count(page.items.length)} of ${count(page.total)}`,
      );
      show(rows, page.total > 0);
      show(more, page.items.length < page.total && limit < PAGE_MAX);
    } catch (error) {
      setText(total, errorText(error));
    }
    asking = false;
  };
  search.addEventListener('input', () => {
    limit = PAGE;
    void refresh();
  });
  more.addEventListener('click', () => {
    limit = Math.min(PAGE_MAX, limit * 4);
    void refresh();
  });
  return {
    node: h(
      'div',
      { class: 'view' },
      h('h1', {}, 'Clients'),
      h(
        'section',
        { class: 'card' },
        h('div', { class: 'row' }, field('Search', search, { wide: true })),
        total,
        rows,
        more,
      ),
    ),
    opened: () => void refresh(),
    update({ overview }) {
      mayAct = overview.caller.role === 'operator';
      if (Date.now() - askedAt >= REFRESH_MS) void refresh();
    },
  };
}
