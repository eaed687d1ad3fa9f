import type { ISubscription } from 'mqtt-packet';
import type { PublishOptions, Qos, Version } from '../support/peer.ts';

/** What one client does. A step of a client that is not connected does nothing, so that any part of a sequence is one. */
export type Step =
  | {
      readonly does: 'connect';
      readonly client: number;
      readonly clean: boolean;
      /** MQTT 5: session expiry interval, s. */
      readonly expiry?: number;
      readonly will?: Will;
      /** Answers no PUBLISH. */
      readonly deaf?: boolean;
      readonly properties?: { readonly receiveMaximum?: number; readonly maximumPacketSize?: number };
    }
  | { readonly does: 'disconnect'; readonly client: number; readonly reasonCode?: number; readonly expiry?: number }
  /** The connection ends without DISCONNECT. */
  | { readonly does: 'drop'; readonly client: number }
  | {
      readonly does: 'subscribe';
      readonly client: number;
      readonly subscriptions: readonly ISubscription[];
      readonly identifier?: number;
    }
  | { readonly does: 'unsubscribe'; readonly client: number; readonly filters: readonly string[] }
  | ({ readonly does: 'publish'; readonly client: number; readonly topic: string; readonly payload: string } & Omit<
      PublishOptions,
      'messageId' | 'dup'
    >);

export interface Will {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Qos;
  readonly retain: boolean;
}

/** Topics and filters stand below a prefix of the sequence's own, so that sequences can run side by side. */
export interface Sequence {
  readonly name: string;
  /** Of each client, by its number. */
  readonly versions: readonly Version[];
  readonly steps: readonly Step[];
}
