/**
 * Wills of connected clients, kept so that a process that is killed does not take them along. One per client id: who
 * connects replaces what an earlier connection left. A token names the connection's will, so that a late end of an old
 * connection cannot remove the will of the new one.
 */
import { randomUUID } from 'node:crypto';
import type { PacketProperties, WillPacket } from '../patches/internals.ts';

export interface StoredWill {
  readonly token: string;
  readonly clientId: string;
  readonly user: string;
  /** The process that holds the connection, or has taken the will over from one that died. */
  readonly brokerId: string;
  /** Will Delay Interval (MQTT 5.0 §3.1.3.2.2), 0 in MQTT 3.1.1. */
  readonly delaySeconds: number;
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Those of the message; the will delay is not one of them. */
  readonly properties: PacketProperties | undefined;
}

export interface WillStore {
  put(will: StoredWill): Promise<void>;
  /** Removes the client's will; with a token only if it is that one. */
  remove(clientId: string, token?: string): Promise<void>;
  /** Is this still the client's will? */
  holds(clientId: string, token: string): Promise<boolean>;
  /** Takes the will of a dead process over. false: it is gone, or someone else was first. */
  claim(will: StoredWill, brokerId: string): Promise<boolean>;
  all(): AsyncIterable<StoredWill>;
}

export function storedWill(will: WillPacket, clientId: string, user: string, brokerId: string): StoredWill {
  const { willDelayInterval, ...properties } = will.properties ?? {};
  return {
    token: randomUUID(),
    clientId,
    user,
    brokerId,
    delaySeconds: typeof willDelayInterval === 'number' ? willDelayInterval : 0,
    topic: will.topic,
    payload: typeof will.payload === 'string' ? Buffer.from(will.payload) : will.payload,
    qos: will.qos,
    retain: will.retain,
    properties: Object.keys(properties).length > 0 ? properties : undefined,
  };
}

/** One line of JSON; the token comes first and alone, so that a store can compare it without reading the rest. */
export function encodeWill(will: StoredWill): string {
  const { token, payload, properties, ...rest } = will;
  const { correlationData, ...others } = properties ?? {};
  return `${token} ${JSON.stringify({
    ...rest,
    payload: payload.toString('base64'),
    properties: properties === undefined ? undefined : others,
    correlationData: Buffer.isBuffer(correlationData) ? correlationData.toString('base64') : undefined,
  })}`;
}

export function decodeWill(text: string): StoredWill {
  const space = text.indexOf(' ');
  const { correlationData, ...read } = JSON.parse(text.slice(space + 1)) as Omit<StoredWill, 'token' | 'payload'> & {
    payload: string;
    correlationData?: string;
  };
  const properties = read.properties;
  if (properties !== undefined && correlationData !== undefined) {
    properties['correlationData'] = Buffer.from(correlationData, 'base64');
  }
  return { ...read, token: text.slice(0, space), payload: Buffer.from(read.payload, 'base64'), properties };
}

/** Where the texts are: a map, or keys of a database. Calls come one after another. */
export interface WillTexts {
  get(clientId: string): Promise<string | undefined>;
  set(clientId: string, text: string): Promise<void>;
  delete(clientId: string): Promise<void>;
  values(): AsyncIterable<string>;
}

/** Wills of the only process there is: looking and changing in turn is enough. */
export class LocalWillStore implements WillStore {
  readonly #texts: WillTexts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(texts: WillTexts) {
    this.#texts = texts;
  }

  put(will: StoredWill): Promise<void> {
    return this.#inTurn(() => this.#texts.set(will.clientId, encodeWill(will)));
  }

  remove(clientId: string, token?: string): Promise<void> {
    return this.#inTurn(async () => {
      if (token === undefined || (await this.#has(clientId, token))) await this.#texts.delete(clientId);
    });
  }

  holds(clientId: string, token: string): Promise<boolean> {
    return this.#inTurn(() => this.#has(clientId, token));
  }

  claim(will: StoredWill, brokerId: string): Promise<boolean> {
    return this.#inTurn(async () => {
      if ((await this.#texts.get(will.clientId)) !== encodeWill(will)) return false;
      await this.#texts.set(will.clientId, encodeWill({ ...will, brokerId }));
      return true;
    });
  }

  async *all(): AsyncIterable<StoredWill> {
    for await (const text of this.#texts.values()) yield decodeWill(text);
  }

  async #has(clientId: string, token: string): Promise<boolean> {
    return (await this.#texts.get(clientId))?.startsWith(`${token} `) === true;
  }

  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(operation);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
