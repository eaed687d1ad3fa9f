import type { CommitWaiter } from '../buffer/commit.ts';
import { anonymous, type Identity } from '../auth/identity.ts';
import type { SluiceError } from '../errors.ts';
import type { Access } from '../auth/access/access.ts';
import type { Message } from '../message.ts';
import type { Forbidden } from './permission.ts';
import type { Throttle } from './throttle.ts';

export type { Access } from '../auth/access/access.ts';
export type { Forbidden } from './permission.ts';

/**
 * One who publishes: an MQTT connection, an HTTP caller, the embedding program. Kept as long as its connection, since the
 * order of acknowledgements is a matter of the connection ([MQTT-4.6.0-2]).
 */
export class Publisher {
  readonly clientId: string;
  readonly user: string;
  readonly shard: number;
  /** What is proven about it; of a connection. */
  identity: Identity = anonymous;
  /** What it may publish; undefined: everything that is not the broker's own. */
  access: Access | undefined;
  /** How fast it may publish; undefined: as it likes. */
  throttle: Throttle | undefined;
  /** Admissions that are not answered yet. */
  pending = 0;
  /** Something of it was refused: nothing that follows on this connection may enter the log ahead of its resend. */
  refused = false;
  /** QoS 2 packet ids that this connection has brought and not released. Those of earlier connections are in the store. */
  readonly qos2 = new Set<number>();
  /** It started clean: ids that the store may still hold of earlier sessions are void, and cleared before the first use. */
  qos2ClearFirst: boolean;

  constructor(clientId: string, user: string, shard: number, cleanStart: boolean) {
    this.clientId = clientId;
    this.user = user;
    this.shard = shard;
    this.qos2ClearFirst = cleanStart;
  }
}

/**
 * One message on its way in, and what becomes of it. The front (MQTT, HTTP, library) subclasses it to answer; exactly one
 * of the on…() is called, and those of one publisher in the order of its admissions.
 */
export abstract class Admission implements CommitWaiter {
  readonly publisher: Publisher;
  readonly message: Message;
  /** MQTT packet id of a QoS 2 publish. */
  readonly qos2PacketId: number | undefined;
  /** What names the message beyond the connection: it is taken once (see once-keys.ts). Without U+0000. */
  readonly onceKey: string | undefined;
  /** Over the rate it is refused instead of kept waiting: whoever sent it can be told when to try again. */
  readonly neverWaits: boolean = false;
  /** Set by a step: it matches no route, so that nothing of it is stored. */
  unrouted = false;
  /** Set by a step: answered in its turn. */
  forbidden: Forbidden | undefined;
  /** What is wrong with it, in words, where more is known. */
  forbiddenDetail: string | undefined;

  constructor(publisher: Publisher, message: Message, qos2PacketId?: number) {
    this.publisher = publisher;
    this.message = message;
    this.qos2PacketId = qos2PacketId;
  }

  /** Durable, or on no route. `duplicate`: a QoS 2 publish that was taken before; acknowledge, deliver to nobody. */
  protected abstract onAccepted(duplicate: boolean): void;
  /** Will never be accepted. */
  protected abstract onForbidden(reason: Forbidden): void;
  /** Not stored, or not certainly: no acknowledgement; the sender is to send it again over a new connection. */
  protected abstract onRefused(error: SluiceError): void;
  /** QoS 0, and no room. */
  protected abstract onDropped(): void;

  committed(duplicate: boolean): void {
    this.publisher.pending--;
    if (this.forbidden === undefined) this.onAccepted(duplicate);
    else this.onForbidden(this.forbidden);
  }

  refused(error: SluiceError): void {
    this.publisher.pending--;
    this.publisher.refused = true;
    if (this.qos2PacketId !== undefined) this.publisher.qos2.delete(this.qos2PacketId);
    this.onRefused(error);
  }

  dropped(): void {
    this.publisher.pending--;
    this.onDropped();
  }
}
