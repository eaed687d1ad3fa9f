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

  /**
   * aedes answers with 0x87 (Not authorized), we with 0x99 (Payload format invalid); MQTT 3 has no such answer, and closes
   * [MQTT-3.3.5-2].
   */
  protected override onForbidden(reason: Forbidden): void {
    const error = new Error(this.forbiddenDetail ?? forbidden[reason]);
    const { client, core, info } = this.#connection;
    this.#connection.answered(this.#packet);
    if (client.version === 5 && reason === 'invalid-payload') {
      const { qos, messageId = 0 } = this.#packet;
      if (qos > 0) {
        const told = client._requestProblemInformation === false ? undefined : error.message;
        this.#connection.write(refusal(qos, messageId, PAYLOAD_FORMAT_INVALID, told));
      }
      this.#packet._notAuthorized = true;
      core.events.connectionFailed(client.id, info.remoteAddress, error);
      this.#done();
    } else if (client.version === 5) {
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

const PAYLOAD_FORMAT_INVALID = 0x99;
const REASON_MAX_CHARACTERS = 100;

/** PUBACK or PUBREC of MQTT 5 with a reason code and a Reason String (3.4.2). */
function refusal(qos: number, packetId: number, reasonCode: number, reason: string | undefined): Buffer {
  const type = qos === 1 ? 0x40 : 0x50;
  const head = [packetId >> 8, packetId & 0xff, reasonCode];
  if (reason === undefined) return Buffer.from([type, 3, ...head]);
  // Short enough for lengths of one byte, whatever its characters.
  const text = Buffer.from(reason.slice(0, REASON_MAX_CHARACTERS).replaceAll(/[^\x20-\x7e]/g, '?'));
  const properties = Buffer.concat([Buffer.from([text.length + 3, 0x1f, 0, text.length]), text]);
  return Buffer.concat([Buffer.from([type, 3 + properties.length, ...head]), properties]);
}

const forbidden: Readonly<Record<Forbidden, string>> = {
  'invalid-payload': 'a route cannot use the payload',
  'reserved-topic': 'topics under $SYS/ are the broker’s own',
};
