import type { Qos } from '../support/peer.ts';

/** A message by who published it and its number among what that device published. */
export interface MessageName {
  readonly publisher: string;
  readonly number: number;
}

/**
 * What the devices of a run did and saw, in the order in which it happened to them. They all live in one process: what was
 * sent after something was received was sent after the broker had sent that.
 */
export type Event =
  | {
      readonly kind: 'connected';
      readonly device: string;
      readonly expected: boolean;
      readonly sessionPresent: boolean;
    }
  /** By the broker, with the reason code of its DISCONNECT. */
  | { readonly kind: 'closed'; readonly device: string; readonly reasonCode: number | undefined }
  /** The broker is being stopped and started again, and is there again. */
  | { readonly kind: 'restarting' }
  | { readonly kind: 'restarted' }
  /** The session of a device ended with its connection. */
  | { readonly kind: 'session ended'; readonly device: string }
  /** SUBSCRIBE is sent; `subscribed` when the SUBACK has come. */
  | { readonly kind: 'subscribing'; readonly device: string; readonly filter: string; readonly qos: Qos }
  | { readonly kind: 'subscribed'; readonly device: string; readonly filter: string }
  | { readonly kind: 'unsubscribing'; readonly device: string; readonly filter: string }
  | { readonly kind: 'unsubscribed'; readonly device: string; readonly filter: string }
  /** PUBLISH is sent for the first time. */
  | ({ readonly kind: 'published'; readonly topic: string; readonly qos: Qos; readonly retain: boolean } & MessageName)
  /** PUBACK or PUBCOMP has come. */
  | ({ readonly kind: 'acknowledged' } & MessageName)
  /** The publisher's session ended before: nobody knows what became of it. */
  | ({ readonly kind: 'abandoned' } & MessageName)
  /** A PUBLISH came. `again`: under a packet id that is not done with; of QoS 2 a device takes it for no
   * message. */
  | ({
      readonly kind: 'delivered';
      readonly device: string;
      readonly topic: string;
      readonly qos: Qos;
      readonly retain: boolean;
      readonly dup: boolean;
      readonly again: boolean;
    } & MessageName);

export type History = readonly Event[];
export type Published = Extract<Event, { kind: 'published' }>;
export type Delivered = Extract<Event, { kind: 'delivered' }>;

export const nameOf = ({ publisher, number }: MessageName): string => `${publisher}:${number}`;
