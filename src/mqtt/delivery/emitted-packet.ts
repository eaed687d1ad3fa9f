/** A message on its way from aedes to the subscribers. */
import type { PublishPacket } from '../patches/internals.ts';
import type { Publication } from '../sessions/store.ts';
import type { Receipt } from './receipt.ts';

export interface EmittedPacket extends PublishPacket {
  brokerId?: string;
  brokerCounter?: number;
  /** Its name in the queues of sessions. */
  queueKey?: string | undefined;
  /** Whose queues those are, where it was queued in this process. */
  queuedFor?: Set<string>;
  /** Member that is to have it, by shared subscription. */
  chosen?: Map<string, string>;
  publication?: Publication;
  /** Somebody answers for it. */
  receipt?: Receipt;
}

/** The same object each time. */
export function publicationOf(packet: EmittedPacket): Publication {
  if (packet.publication !== undefined) return packet.publication;
  const { topic, payload, qos, retain, properties, messageExpiry } = packet;
  // aedes takes 0 for none.
  const atOnce = properties?.['messageExpiryInterval'] === 0;
  return (packet.publication = {
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    qos,
    retain,
    properties,
    expiresAt: messageExpiry ?? (atOnce ? Date.now() : undefined),
  });
}
