/** Asks for a token where the listener wants one. */
import { token } from './api.ts';
import { field, h } from './dom.ts';

export function loginDialog(): { readonly node: HTMLDialogElement; open(why: string): void } {
  const input = h('input', { type: 'password', required: true, autocomplete: 'off', spellcheck: 'false' });
  const why = h('p', { class: 'fact', role: 'status' });
  const form = h(
    'form',
    {},
    field('Token', input, { wide: true }),
    h('div', { class: 'row' }, h('button', { class: 'primary' }, 'Go on')),
  );
  const node = h(
    'dialog',
    { 'aria-labelledby': 'login-title' },
    h('h2', { id: 'login-title' }, 'A token is needed'),
    h('p', {}, 'One of listeners.http.tokens. It is kept until this tab is closed.'),
    why,
    form,
  );
  node.addEventListener('cancel', (event) => event.preventDefault());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    token.set(input.value.trim());
    input.value = '';
    node.close();
  });
  return {
    node,
    open: (text) => {
      if (node.open) return;
      why.textContent = text;
      node.showModal();
    },
  };
}
