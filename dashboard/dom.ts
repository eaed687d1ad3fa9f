/** Elements without a framework. Text is always set as text: nothing that a device sends is ever read as HTML. */

type Child = Node | string;
type Attribute = string | number | boolean | undefined;

export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, Attribute>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

/** Touches the page only where something has changed. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible;
}

export interface Shown<Item> {
  readonly node: HTMLElement;
  update(item: Item): void;
}

/**
 * Keeps the children of an element in step with a list. An item that stays keeps its element, and with it the focus, the selection
 * and what is unfolded.
 */
export function keyed<Item>(
  container: HTMLElement,
  keyOf: (item: Item) => string,
  create: (item: Item) => Shown<Item>,
): (items: readonly Item[]) => void {
  const known = new Map<string, Shown<Item>>();
  return (items) => {
    const wanted = new Set(items.map(keyOf));
    for (const [key, { node }] of known) {
      if (wanted.has(key)) continue;
      node.remove();
      known.delete(key);
    }
    let next = container.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let shown = known.get(key);
      if (shown === undefined) known.set(key, (shown = create(item)));
      shown.update(item);
      if (shown.node === next) next = next.nextElementSibling;
      else container.insertBefore(shown.node, next);
    }
  };
}

export function field(label: string, input: HTMLElement, options: { readonly wide?: boolean } = {}): HTMLElement {
  return h('label', { class: options.wide === true ? 'field wide' : 'field' }, h('span', {}, label), input);
}

/** `numbers`: columns of figures, which stand on the right. */
export function table(
  head: readonly string[],
  caption: string,
  numbers: readonly string[] = [],
): { readonly node: HTMLElement; readonly body: HTMLElement } {
  const body = h('tbody');
  const node = h(
    'div',
    { class: 'table', tabindex: 0, role: 'region', 'aria-label': caption },
    h(
      'table',
      {},
      h('caption', { class: 'visually-hidden' }, caption),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ...head.map((text) => h('th', { scope: 'col', class: numbers.includes(text) ? 'number' : undefined }, text)),
        ),
      ),
      body,
    ),
  );
  return { node, body };
}

/** The label is shown where a narrow screen makes a card of the row. */
export function cell(label: string, attributes: Readonly<Record<string, Attribute>> = {}): HTMLTableCellElement {
  return h('td', { 'data-label': label, ...attributes });
}
