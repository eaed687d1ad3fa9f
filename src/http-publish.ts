/** Messages that come over HTTP: admitted like a device's, then handed to MQTT subscribers. */
import type { Identity } from './auth/identity.ts';
import type { HttpSender, PublishOutcome, PublishRequest } from './http/port.ts';
import { SluiceError } from './errors.ts';
import { Admission, type Access, type Forbidden, type Publisher } from './ingest/admission.ts';
import type { Ingest } from './ingest/ingest.ts';
import { Origin, type Message } from './message.ts';
import type { MqttBroker } from './mqtt/broker.ts';
import { validateTopicName } from './routes/index.ts';

/** On their way to MQTT subscribers and sessions; beyond, requests wait for them. */
const DELIVERIES_MAX = 1_000;

/** What those may do who have proven who they are. */
export interface HttpRights {
  /** undefined: everything. */
  access(clientId: string, identity: Identity): Access | undefined;
  /** It is a client id of theirs. */
  mayUse(identity: Identity, clientId: string): boolean;
  fault(error: unknown): void;
}

/** What the requests of one client id share while any of them is answered. */
interface Rate {
  readonly throttle: Publisher['throttle'];
  requests: number;
}

export class HttpPublisher {
  readonly #ingest: Ingest;
  readonly #broker: MqttBroker;
  readonly #rights: HttpRights;
  /** By client id. */
  readonly #rates = new Map<string, Rate>();
  #delivering = 0;
  #deliveries: Promise<void> = Promise.resolve();

  constructor(ingest: Ingest, broker: MqttBroker, rights: HttpRights) {
    this.#ingest = ingest;
    this.#broker = broker;
    this.#rights = rights;
  }

  /**
   * The messages of one request. Those of one client id are taken in their order: where one is refused, so are those behind it, and the
   * caller may send the rest again. Resolves to what became of each.
   */
  async publish({ user, device }: HttpSender, requests: readonly PublishRequest[]): Promise<PublishOutcome[]> {
    const publishers = new Map<string, Publisher>();
    try {
      return await this.#publish(user, device, requests, publishers);
    } finally {
      if (device !== undefined) for (const publisher of publishers.values()) this.#depart(publisher);
    }
  }

  async #publish(
    user: string,
    device: Identity | undefined,
    requests: readonly PublishRequest[],
    publishers: Map<string, Publisher>,
  ): Promise<PublishOutcome[]> {
    const messages = requests.map((request) => messageOf(user, request));
    const outcomes = await Promise.all(
      requests.map(({ clientId, key }, index) => {
        const message = messages[index] as Message;
        const wrong = validateTopicName(message.topic);
        if (wrong !== undefined) return refusal(`${message.topic}: ${wrong}`);
        if (device !== undefined && !this.#rights.mayUse(device, clientId))
          return refusal(`${clientId} is not a client id of ${user}`);
        let publisher = publishers.get(clientId);
        if (publisher === undefined) {
          publisher = this.#ingest.publisher(clientId, user, false);
          if (device !== undefined) this.#arrive(publisher, device);
          publishers.set(clientId, publisher);
        }
        return this.#admit(publisher, message, key);
      }),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.error !== undefined || outcome.duplicate) continue;
      this.#deliver(messages[index] as Message);
    }
    if (this.#delivering > DELIVERIES_MAX) await this.#deliveries;
    return outcomes;
  }

  #arrive(publisher: Publisher, device: Identity): void {
    const { clientId } = publisher;
    publisher.identity = device;
    publisher.access = this.#rights.access(clientId, device);
    const rate = this.#rates.get(clientId);
    if (rate === undefined) {
      this.#ingest.arrived(publisher);
      this.#rates.set(clientId, { throttle: publisher.throttle, requests: 1 });
    } else {
      publisher.throttle = rate.throttle;
      rate.requests++;
    }
  }

  #depart(publisher: Publisher): void {
    const rate = this.#rates.get(publisher.clientId);
    if (rate === undefined || --rate.requests > 0) return;
    this.#rates.delete(publisher.clientId);
    this.#ingest.departed(publisher);
  }

  /** The message is durable, whatever becomes of it over MQTT, and the answer does not wait for that. One by one, to keep their order. */
  #deliver(message: Message): void {
    this.#delivering++;
    this.#deliveries = this.#deliveries.then(async () => {
      await this.#broker.publish(message).catch((error: unknown) => this.#rights.fault(error));
      this.#delivering--;
    });
  }

  #admit(publisher: Publisher, message: Message, key: string | undefined): Promise<PublishOutcome> {
    return new Promise((resolve) => this.#ingest.admit(new HttpAdmission(publisher, message, key, resolve)));
  }
}

function refusal(reason: string): Promise<PublishOutcome> {
  return Promise.resolve({ error: new SluiceError('PUBLISH_REFUSED', reason) });
}

function messageOf(user: string, { clientId, topic, payload, qos, retain, properties }: PublishRequest): Message {
  return {
    clientId,
    user,
    topic,
    payload,
    qos,
    retain,
    dup: false,
    origin: Origin.http,
    receivedAt: Date.now(),
    properties,
  };
}

class HttpAdmission extends Admission {
  override readonly onceKey: string | undefined;
  override readonly neverWaits = true;
  readonly #resolve: (outcome: PublishOutcome) => void;

  constructor(
    publisher: Publisher,
    message: Message,
    onceKey: string | undefined,
    resolve: (outcome: PublishOutcome) => void,
  ) {
    super(publisher, message);
    this.onceKey = onceKey;
    this.#resolve = resolve;
  }

  protected onAccepted(duplicate: boolean): void {
    this.#resolve({ error: undefined, duplicate, routed: !this.unrouted });
  }

  protected onForbidden(reason: Forbidden): void {
    this.#resolve({ error: new SluiceError('PUBLISH_REFUSED', `${this.message.topic}: ${reason}`) });
  }

  protected onRefused(error: SluiceError): void {
    this.#resolve({ error });
  }

  protected onDropped(): void {
    this.#resolve({ error: new SluiceError('STORE_FULL', 'the buffer is full and the message has QoS 0') });
  }
}
