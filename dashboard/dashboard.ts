/** The page: asks sluice how it is every half second, and shows the section that the address names. */
import type { Overview } from '../src/http/overview.ts';
import { ApiError, ask, errorText, token } from './api.ts';
import { clientsView } from './clients-view.ts';
import { deadLettersView } from './dead-letters-view.ts';
import { h, setAttribute, setText, show } from './dom.ts';
import { duration } from './format.ts';
import { History } from './history.ts';
import { loginDialog } from './login.ts';
import { messagesView } from './messages-view.ts';
import { overviewView } from './overview-view.ts';
import { routesView } from './routes-view.ts';
import { theme } from './theme.ts';
import type { Moment, View } from './view.ts';

const EVERY_MS = 500;
/** Nobody looks. */
const HIDDEN_EVERY_MS = 5_000;

const sections: readonly (readonly [path: string, title: string, view: View])[] = [
  ['overview', 'Overview', overviewView()],
  ['clients', 'Clients', clientsView()],
  ['routes', 'Routes', routesView()],
  ['dead-letters', 'Dead letters', deadLettersView()],
  ['messages', 'Messages', messagesView()],
];

const main = element('main');
const live = element('live');
const said = element('said');
const login = loginDialog();
const lost = h('section', { class: 'verdict', 'data-severity': 'critical', 'data-testid': 'lost' });
const links = sections.map(([path, title]) => h('a', { href: `#/${path}` }, title));
const history = new History();
let current: View = sections[0]![2];
let moment: Moment | undefined;
let lostSince: number | undefined;

element('nav').append(...links);
main.replaceChildren(lost, ...sections.map(([, , { node }]) => node));
document.body.append(login.node);
show(lost, false);
theme(element('theme') as HTMLButtonElement, () =>
  requestAnimationFrame(() => sections.forEach(([, , view]) => view.repaint?.())),
);
window.addEventListener('hashchange', open);
open();
void follow();

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no #${id}`);
  return found;
}

function open(): void {
  if (location.hash !== '' && !location.hash.startsWith('#/')) return;
  const wanted = location.hash.slice(2);
  const index = Math.max(
    0,
    sections.findIndex(([path]) => path === wanted),
  );
  sections.forEach(([, title, view], each) => {
    show(view.node, each === index);
    if (each === index) {
      current = view;
      document.title = `${title} · sluice`;
      links[each]?.setAttribute('aria-current', 'page');
    } else links[each]?.removeAttribute('aria-current');
  });
  if (moment !== undefined) current.update?.(moment);
  current.opened?.();
}

/** For as long as the page is open. */
async function follow(): Promise<never> {
  for (;;) {
    const began = performance.now();
    try {
      const overview = await ask<Overview>('overview');
      moment = { overview, now: history.add(overview), history };
      lostSince = undefined;
      tell(overview);
      current.update?.(moment);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        login.open(token.get() === '' ? '' : 'This token is not known.');
        await new Promise((resolve) => login.node.addEventListener('close', resolve, { once: true }));
      } else miss(error);
    }
    show(lost, lostSince !== undefined);
    const every = document.hidden ? HIDDEN_EVERY_MS : EVERY_MS;
    await new Promise((resolve) => {
      setTimeout(resolve, Math.max(0, every - (performance.now() - began)));
    });
  }
}

/** sluice does not answer: what is shown is as it was. */
function miss(error: unknown): void {
  lostSince ??= Date.now();
  history.gap(Date.now());
  setText(live, 'no answer');
  setAttribute(live, 'data-state', 'critical');
  lost.replaceChildren(
    h(
      'div',
      { class: 'headline' },
      h('h1', {}, 'No answer'),
      h('p', {}, `${errorText(error)}, for ${duration(Date.now() - lostSince)}.`),
    ),
    h(
      'p',
      { class: 'todo' },
      'What is below is as it was then. If sluice was stopped or killed, start it again: what it has acknowledged is in its buffer, and devices keep the rest.',
    ),
  );
  announce('sluice does not answer');
}

function tell({ advice, caller }: Overview): void {
  setText(live, caller.name === '' ? 'live' : `live, ${caller.name} (${caller.role})`);
  setAttribute(live, 'data-state', 'ok');
  const worst = advice.find(({ severity }) => severity !== 'notice');
  // Without the times in it, which change every second: a screen reader is to speak when something happens.
  announce(worst === undefined ? 'All is well' : `Trouble: ${worst.id}`);
  setAttribute(document.documentElement, 'data-severity', worst?.severity ?? 'ok');
}

function announce(text: string): void {
  setText(said, text);
}
