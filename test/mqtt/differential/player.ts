import { Peer } from '../support/peer.ts';
import { matches } from '../model/matches.ts';
import type { Sequence, Step } from './sequence.ts';

/** Something a broker sent, without what it is free to choose. */
export type Answer =
  | { readonly kind: 'connack'; readonly code: number; readonly sessionPresent: boolean }
  | { readonly kind: 'suback' | 'unsuback'; readonly codes: readonly number[] }
  | { readonly kind: 'puback' | 'pubrec' | 'pubcomp' | 'disconnect'; readonly code: number }
  | { readonly kind: 'closed' };

export interface Delivery {
  readonly kind: 'message';
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  /** The client has subscribed, at some time of the sequence, to several filters that match. */
  readonly overlapping: boolean;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** What one connection of one client has seen: the answers in their order, the messages in their order by topic. */
export interface Seen {
  readonly client: number;
  readonly answers: readonly Answer[];
  readonly messages: Readonly<Record<string, readonly Delivery[]>>;
}

interface Connected {
  readonly client: number;
  readonly peer: Peer;
  /** Ended by the sequence: that it is closed tells nothing. */
  ended: boolean;
}

/** Plays a sequence on one broker and keeps what it answers. */
export class Player {
  readonly #port: number;
  readonly #prefix: string;
  readonly #sequence: Sequence;
  readonly #connections: Connected[] = [];
  readonly #filters = new Map<number, Set<string>>();

  constructor(port: number, prefix: string, sequence: Sequence) {
    this.#port = port;
    this.#prefix = prefix;
    this.#sequence = sequence;
  }

  async play(step: Step): Promise<void> {
    const current = this.#connections.findLast(({ client }) => client === step.client);
    if (step.does === 'connect') return this.#connect(step);
    if (current === undefined || current.ended || current.peer.closed) return;
    const { peer } = current;
    switch (step.does) {
      case 'disconnect':
        current.ended = true;
        return peer.disconnect({
          ...(step.reasonCode === undefined ? {} : { reasonCode: step.reasonCode }),
          ...(step.expiry === undefined || peer.version === 4 ? {} : { sessionExpiryInterval: step.expiry }),
        });
      case 'drop':
        current.ended = true;
        // Until the broker has closed its side, it may take the client for connected.
        peer.raw.socket.end();
        return peer.untilClosed();
      case 'subscribe': {
        for (const { topic } of step.subscriptions) setIn(this.#filters, step.client).add(topic);
        const subscriptions = step.subscriptions.map((one) => ({ ...one, topic: this.#named(one.topic) }));
        const identifier = peer.version === 5 && step.identifier !== undefined ? { identifier: step.identifier } : {};
        await unlessClosed(peer, peer.subscribe(subscriptions, identifier));
        return;
      }
      case 'unsubscribe':
        await unlessClosed(peer, peer.unsubscribe(...step.filters.map((filter) => this.#named(filter))));
        return;
      case 'publish': {
        const { topic, payload, properties, ...rest } = step;
        const options = peer.version === 5 && properties !== undefined ? { ...rest, properties } : rest;
        await unlessClosed(peer, peer.publish(this.#named(topic), payload, options));
      }
    }
  }

  /** Two round trips of every connection: with a broker that does one thing at a time, all has come that will come. */
  async settle(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      await Promise.all(
        this.#connections
          .filter(({ ended, peer }) => !ended && !peer.closed)
          .map(({ peer }) => unlessClosed(peer, peer.raw.ping())),
      );
    }
  }

  seen(): Seen[] {
    return this.#connections.map(({ client, peer, ended }) => {
      const answers = peer.raw.received.flatMap((packet): Answer[] => {
        switch (packet.cmd) {
          case 'connack':
            return [{ kind: 'connack', code: peer.connectCode, sessionPresent: packet.sessionPresent }];
          case 'suback':
          case 'unsuback':
            return [{ kind: packet.cmd, codes: (packet.granted ?? []) as number[] }];
          case 'puback':
          case 'pubrec':
          case 'pubcomp':
          case 'disconnect':
            return [{ kind: packet.cmd, code: packet.reasonCode ?? 0 }];
          default:
            return [];
        }
      });
      if (peer.closed && !ended) answers.push({ kind: 'closed' });
      const messages: Record<string, Delivery[]> = {};
      for (const { topic, payload, qos, retain, dup, properties } of peer.messages) {
        const name = topic.slice(this.#prefix.length + 1);
        (messages[name] ??= []).push({
          kind: 'message',
          topic: name,
          payload,
          qos,
          retain,
          dup,
          overlapping: [...(this.#filters.get(client) ?? [])].filter((filter) => matches(filter, name)).length > 1,
          properties: plain(properties),
        });
      }
      return { client, answers, messages };
    });
  }

  /** Ends what is left, and with it every session. */
  async end(): Promise<void> {
    for (const { peer } of this.#connections) peer.raw.destroy();
    for (const client of new Set(this.#connections.map((one) => one.client))) {
      const peer = await Peer.connect(this.#port, { clientId: this.#clientId(client), version: 4, clean: true });
      await peer.disconnect();
    }
  }

  async #connect(step: Extract<Step, { does: 'connect' }>): Promise<void> {
    const version = this.#sequence.versions[step.client] ?? 4;
    const v5 = version === 5;
    const peer = await Peer.connect(this.#port, {
      version,
      clientId: this.#clientId(step.client),
      clean: step.clean,
      acknowledges: !(step.deaf ?? false),
      ...(step.will === undefined ? {} : { will: { ...step.will, topic: this.#named(step.will.topic) } }),
      ...(v5 ? { properties: { sessionExpiryInterval: step.expiry ?? 0, ...step.properties } } : {}),
    });
    this.#connections.push({ client: step.client, peer, ended: false });
  }

  #named(topicOrFilter: string): string {
    const shared = /^\$share\/[^/]+\//.exec(topicOrFilter)?.[0];
    if (shared !== undefined) return `${shared}${this.#prefix}/${topicOrFilter.slice(shared.length)}`;
    return `${this.#prefix}/${topicOrFilter}`;
  }

  #clientId(client: number): string {
    return `${this.#prefix}-${client}`;
  }
}

/** What was asked of a connection that ends before the answer is answered by its end. */
async function unlessClosed(peer: Peer, work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!peer.closed) throw error;
  }
}

function setIn<Key>(map: Map<Key, Set<string>>, key: Key): Set<string> {
  let set = map.get(key);
  if (set === undefined) map.set(key, (set = new Set()));
  return set;
}

/** Without the prototypes, buffers and order that a parser chooses. */
function plain(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => {
        if (Buffer.isBuffer(inner)) return [key, inner.toString('hex')];
        return [
          key,
          typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? plain(inner as object) : inner,
        ];
      }),
  );
}
