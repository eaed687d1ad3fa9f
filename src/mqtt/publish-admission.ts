/** One PUBLISH of a client on its way through admission, and its answer. */
import { Admission, type Forbidden } from '../ingest/admission.ts';
import type { Publisher } from '../ingest/admission.ts';
import type { SluiceError } from '../errors.ts';
import { Origin } from '../message.ts';
import { deny, ruleOf } from './access.ts';
import type { Connection } from './connection.ts';
import { inboundMessage } from './inbound.ts';
import type { Done, PublishPacket } from './patches/internals.ts';
import { ReasonCode } from './wire.ts';

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

  protected override onForbidden(reason: Forbidden): void {
    const [reasonCode, standard] = answers[reason];
    const text = this.forbiddenDetail ?? standard;
    const { client, core, info } = this.#connection;
    this.#connection.answered(this.#packet);
    if (reason === 'invalid-payload') core.events.connectionFailed(client.id, info.remoteAddress, new Error(text));
    else deny(this.#connection, 'publish', this.message.topic, ruleOf(reason, this.message, this.publisher.access));
    this.#connection.forbid(this.#packet, reasonCode, shown(text), this.#done);
  }

  /** Never an error to aedes: it would acknowledge with it, and a client of MQTT 5 would discard the message. */
  protected override onRefused(error: SluiceError): void {
    if (this.#packet.qos > 0 || error.code === 'RATE_EXCEEDED') {
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

const REASON_MAX_CHARACTERS = 100;

function shown(reason: string): string {
  return reason.slice(0, REASON_MAX_CHARACTERS).replaceAll(/[^\x20-\x7e]/g, '?');
}

/** Reason code and string. Never the rule itself: what it says of others is none of the client's business. */
const answers: Readonly<Record<Forbidden, readonly [reasonCode: number, text: string]>> = {
  'reserved-topic': [ReasonCode.notAuthorized, "topics under $SYS/ are the server's own"],
  access: [ReasonCode.notAuthorized, 'the access rules do not allow to publish this'],
  'topic-levels': [ReasonCode.topicNameInvalid, 'the topic has more levels than this server takes'],
  'topic-length': [ReasonCode.topicNameInvalid, 'the topic is longer than this server takes'],
  'payload-size': [ReasonCode.quotaExceeded, 'the payload is larger than this server takes'],
  // MQTT 5.0 §3.4.2.1: Payload format invalid.
  'invalid-payload': [0x99, 'a route cannot use the payload'],
};
