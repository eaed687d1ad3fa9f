import type { ConnectAttempt, Refusal } from '../auth/identity.ts';
import type { SluiceError } from '../errors.ts';
import type { Denial } from './access.ts';

/** What may be told of a client that was not let in: nothing that it claimed and that could be a secret. */
export interface LoginRefusal extends Pick<ConnectAttempt, 'clientId' | 'listener' | 'remoteAddress'> {
  readonly refused: Refusal;
  readonly reason: string;
}

/** What the broker tells its owner. Nothing here is fatal, and nothing needs an answer. */
export interface MqttEvents {
  /** A fault of broker, session store, emitter or certificates, kept from the clients as far as possible. */
  readonly fault: (where: string, error: unknown) => void;
  /** A connection was closed because the buffer did not take its messages; the device resends. */
  readonly connectionRefused: (clientId: string, error: SluiceError) => void;
  /** A connection was closed for what it sent (or did not send). clientId is '' before CONNECT. */
  readonly connectionFailed: (clientId: string, remoteAddress: string, error: Error) => void;
  readonly loginRefused: (refusal: LoginRefusal) => void;
  /** Access rules or limits refused something; the connection may go on. */
  readonly denied: (denial: Denial) => void;
  /** A will can not be accepted any more: rules have changed since its client connected. */
  readonly willForbidden: (clientId: string, topic: string) => void;
}
