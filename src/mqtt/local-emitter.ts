/**
 * The emitter of one process: aedes publishes into it, and listens to what brokers tell each other; all messages go to the
 * subscribers (see delivery/fanout.ts). It stands in for mqemitter, with two differences. It does not wait for its listeners: a
 * subscriber that does not read delays nobody else; what waits for it is bounded in delivery/outbound.ts. And no topic or filter is
 * special, `__proto__` included.
 */
import type { EmittedPacket } from './delivery/emitted-packet.ts';
import { FilterTrie } from './filter-trie.ts';

export interface Subscribers {
  listens(topic: string): boolean;
  deliver(packet: EmittedPacket): void;
}
export type Listener = (packet: EmittedPacket, done: () => void) => void;

export class LocalEmitter {
  readonly #listeners = new FilterTrie<Listener, Listener>();
  readonly #fault: (error: unknown) => void;
  /** Set before the broker listens. */
  subscribers: Subscribers | undefined;
  closed = false;
  readonly concurrency = 0;
  readonly current = 0;

  /** @param fault told of what a listener throws */
  constructor(fault: (error: unknown) => void) {
    this.#fault = fault;
  }

  on(filter: string, listener: Listener, done?: () => void): this {
    this.#listeners.set(filter, listener, listener);
    if (done !== undefined) setImmediate(done);
    return this;
  }

  removeListener(filter: string, listener: Listener, done?: () => void): this {
    this.#listeners.delete(filter, listener);
    if (done !== undefined) setImmediate(done);
    return this;
  }

  /** Nobody would be told of a message on this topic. */
  silent(topic: string): boolean {
    return this.subscribers?.listens(topic) !== true && this.#listeners.match(topic).length === 0;
  }

  emit(packet: EmittedPacket, done?: (error?: Error) => void): this {
    if (this.closed) {
      done?.(new Error('the emitter is closed'));
      return this;
    }
    for (const listener of this.#listeners.match(packet.topic)) {
      try {
        listener.call(this, packet, ignore);
      } catch (error) {
        this.#fault(error);
      }
    }
    try {
      this.subscribers?.deliver(packet);
    } catch (error) {
      this.#fault(error);
    }
    done?.();
    return this;
  }

  close(done: () => void): this {
    this.closed = true;
    setImmediate(done);
    return this;
  }
}

function ignore(): void {}
