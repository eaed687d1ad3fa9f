/** One PUBLISH of a client on its way through admission, and its answer. */
import { Admission, type Forbidden } from '../ingest/admission.ts';
import type { Publisher } from '../ingest/admission.ts';
import type { SluiceError } from '../errors.ts';
import { Origin } from '../message.ts';
import type { Connection } from './connection.ts';
import { inboundMessage } from './inbound.ts';
import type { Done, PublishPacket } from './patches/internals.ts';

export class PublishAdmission extends Admission {
  readonly #connection: Connection;
  readonly #packet: PublishPacket;
  /** aedes waits for it before it reads on. */
  readonly #done: Done;

  constructor(connection: Connection, publisher: Publisher, packet: PublishPacket, done: Done) {
    super(
      publisher,
      inboundMessage(packet, publisher.clientId, publisher.user, Origin.mqtt),
      packet.qos === 2 ? packet.messageId : undefined,
    );
    this.#connection = connection;
    this.#packet = packet;
    this.#done = done;
  }

  protected override onAccepted(duplicate: boolean): void {
    this.#connection.accepted(this.#packet, duplicate, this.#done);
  }

  /** aedes answers with 0x87 (Not authorized); MQTT 3 has no such answer, and closes [MQTT-3.3.5-2]. */
  protected override onForbidden(reason: Forbidden): void {
    const error = new Error(forbidden[reason]);
    const { client, core, info } = this.#connection;
    if (client.version === 5) {
      this.#connection.answered(this.#packet);
      this.#connection.writeAcknowledgements();
      this.#done(error);
    } else {
      core.events.connectionFailed(client.id, info.remoteAddress, error);
      this.#connection.reject(undefined);
    }
  }

  /** Never an error to aedes: it would acknowledge with it, and a client of MQTT 5 would discard the message. */
  protected override onRefused(error: SluiceError): void {
    if (this.#packet.qos > 0) {
      this.#connection.refuse(error);
      return;
    }
    // Nobody resends it, so nothing can come behind it in the wrong order: the connection may go on.
    if (!this.#connection.ending) this.publisher.refused = false;
    this.#connection.core.counters.refusedQos0++;
    this.#connection.pass(this.#packet, false, this.#done);
  }

  /** Lost for Kafka; its MQTT subscribers still get it, as from any broker. */
  protected override onDropped(): void {
    this.#connection.pass(this.#packet, false, this.#done);
  }
}

const forbidden: Readonly<Record<Forbidden, string>> = {
  'reserved-topic': 'topics under $SYS/ are the broker’s own',
};
