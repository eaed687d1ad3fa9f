import type { AuthMethodName, ConnectAttempt, Identity, Refusal } from './identity.ts';

/** What one way of authentication says of a CONNECT. Nothing but `accept` lets anyone in. */
export type Answer =
  | { readonly kind: 'accept'; readonly identity: Identity }
  | { readonly kind: 'refuse'; readonly refused: Refusal; readonly reason: string }
  /** It carries nothing that this way could judge: the next one is asked. */
  | { readonly kind: 'not-mine' };

export interface AuthMethod {
  readonly name: AuthMethodName;
  /** The method of enhanced authentication that it understands, by the name that clients give (MQTT 5.0 §4.12). */
  readonly enhanced?: string;
  /**
   * `blocked`: too many attempts from this address have failed. Only what cannot be guessed, or was proven a short while ago,
   * may be accepted then.
   */
  authenticate(attempt: ConnectAttempt, blocked: boolean): Promise<Answer> | Answer;
  /** After users, keys or rules have changed: what this identity was given for still holds. */
  holds(identity: Identity): boolean;
  /** Looks at its files now, where it has any. */
  look?(): Promise<void>;
  close(): void;
}

/** What methods tell of themselves: a file that does not load, a back end that does not answer. Never a secret. */
export interface AuthEvents {
  readonly fault: (where: string, error: unknown) => void;
  /** A file was read again and is in effect. */
  readonly changed: (what: string) => void;
}

export const notMine: Answer = { kind: 'not-mine' };

export function refuse(refused: Refusal, reason: string): Answer {
  return { kind: 'refuse', refused, reason };
}

export const blockedAnswer = refuse('blocked', 'too many attempts from this address have failed');
