/**
 * What aedes sees as its persistence. It asks about two things only, both on the way of a message to its subscribers: retained
 * messages, and queues of sessions. Everything else about sessions is sluice's own: handshake.ts, delivery/, sessions/keeper.ts,
 * patches/wills.ts; QoS 2 packet ids of publishers are the buffer's (see ingest).
 */
import type { Readable } from 'node:stream';
import type { EmittedPacket } from '../delivery/emitted-packet.ts';
import { publicationOf } from '../delivery/emitted-packet.ts';
import type { Fanout } from '../delivery/fanout.ts';
import type { GuardedStore } from './guarded.ts';

export class AedesPersistence {
  readonly #store: GuardedStore;
  readonly #fanout: Fanout;

  constructor(store: GuardedStore, fanout: Fanout) {
    this.#store = store;
    this.#fanout = fanout;
  }

  /** aedes looks at the constructor's name: this must be an async function. */
  async setup(): Promise<void> {}

  storeRetained(packet: EmittedPacket): Promise<void> {
    return this.#store.retain(publicationOf(packet));
  }

  /** Who is to have it is found together with how, in `outgoingEnqueueCombi`. */
  async subscriptionsByTopic(): Promise<[]> {
    return [];
  }

  outgoingEnqueueCombi(_: [], packet: EmittedPacket): Promise<void> {
    return this.#fanout.queueFor(packet);
  }

  /** When a connection has ended: its will may still have to be sent, or be that of the next one. */
  async delWill(): Promise<void> {}

  /** aedes' own look for wills of dead brokers. */
  streamWill(): Readable {
    throw new Error('wills are kept by sluice');
  }
}
