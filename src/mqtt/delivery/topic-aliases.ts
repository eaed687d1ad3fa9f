/** Topic aliases that we set for a client (MQTT 5.0 §3.3.2.3.4): the first topics it gets have them until its connection ends. */

/** A bound of our own: each is a topic name kept per connection. */
const ALIASES_MAX = 64;

export class TopicAliases {
  readonly #max: number;
  readonly #told = new Map<string, number>();

  constructor(clientMax: number) {
    this.#max = Math.min(clientMax, ALIASES_MAX);
  }

  /** The alias to send with a message on this topic; 0: none. */
  for(topic: string): number {
    return this.#told.get(topic) ?? (this.#told.size < this.#max ? this.#told.size + 1 : 0);
  }

  /** The client knows what the alias stands for. */
  known(topic: string): boolean {
    return this.#told.has(topic);
  }

  /** A message with the topic and its alias is on its way. */
  told(topic: string): void {
    if (!this.#told.has(topic)) this.#told.set(topic, this.#told.size + 1);
  }
}
