/** Topic filters and what hangs on them, as a trie over levels (MQTT 4.7). Keys of clients are keys of Maps: no name is special. */

class Node<Key, Value> {
  readonly children = new Map<string, Node<Key, Value>>();
  readonly values = new Map<Key, Value>();
}

export class FilterTrie<Key, Value> {
  readonly #root = new Node<Key, Value>();
  #size = 0;

  /** Values in it. */
  get size(): number {
    return this.#size;
  }

  set(filter: string, key: Key, value: Value): void {
    let node = this.#root;
    for (const level of filter.split('/')) {
      let child = node.children.get(level);
      if (child === undefined) node.children.set(level, (child = new Node()));
      node = child;
    }
    if (!node.values.has(key)) this.#size++;
    node.values.set(key, value);
  }

  delete(filter: string, key: Key): void {
    const path: [Node<Key, Value>, string][] = [];
    let node = this.#root;
    for (const level of filter.split('/')) {
      const child = node.children.get(level);
      if (child === undefined) return;
      path.push([node, level]);
      node = child;
    }
    if (node.values.delete(key)) this.#size--;
    for (const [parent, level] of path.reverse()) {
      if (node.values.size > 0 || node.children.size > 0) return;
      parent.children.delete(level);
      node = parent;
    }
  }

  /** Every value whose filter matches the topic name. A wildcard in the first level matches no `$` topic [MQTT-4.7.2-1]. */
  match(topic: string): Value[] {
    const found: Value[] = [];
    if (this.#size > 0) this.#collect(this.#root, topic.split('/'), 0, found);
    return found;
  }

  #collect(node: Node<Key, Value>, levels: readonly string[], depth: number, found: Value[]): void {
    const level = levels[depth];
    const wildcards = depth > 0 || level?.charCodeAt(0) !== DOLLAR;
    // `sport/#` matches `sport` too: # stands for the parent level and all below [MQTT-4.7.1-2].
    const rest = wildcards ? node.children.get('#') : undefined;
    if (rest !== undefined) found.push(...rest.values.values());
    if (level === undefined) {
      found.push(...node.values.values());
      return;
    }
    // A level named + or # cannot come from a topic name [MQTT-3.3.2-2].
    const literal = node.children.get(level);
    if (literal !== undefined && level !== '+' && level !== '#') this.#collect(literal, levels, depth + 1, found);
    const single = wildcards ? node.children.get('+') : undefined;
    if (single !== undefined) this.#collect(single, levels, depth + 1, found);
  }
}

const DOLLAR = 0x24;

/** One filter against one topic name. */
export function topicMatches(filter: string, topic: string): boolean {
  const levels = topic.split('/');
  const pattern = filter.split('/');
  if (levels[0]?.charCodeAt(0) === DOLLAR && (pattern[0] === '+' || pattern[0] === '#')) return false;
  for (const [depth, level] of pattern.entries()) {
    if (level === '#') return true;
    if (depth >= levels.length) return false;
    if (level !== '+' && level !== levels[depth]) return false;
  }
  return levels.length === pattern.length;
}
