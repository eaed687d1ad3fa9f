/** Messages of the embedding program: admitted like a device's, then handed to MQTT subscribers. */
import { SluiceError } from './errors.ts';
import { Admission, type Forbidden, type Publisher } from './ingest/admission.ts';
import type { Ingest } from './ingest/ingest.ts';
import { Origin, type Message, type MessageProperties } from './message.ts';
import type { MqttBroker } from './mqtt/broker.ts';
import { validateTopicName } from './routes/index.ts';

export interface PublishRequest {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  /** As whom: it decides the shard, and with the default key the partition, so the order. Default 'sluice'. */
  readonly clientId?: string;
  readonly properties?: MessageProperties;
}

/** Client ids whose Publisher is kept; one that comes again later gets a new one, which loses nothing. */
const PUBLISHERS_MAX = 1_000;

export class LibraryPublisher {
  readonly #ingest: Ingest;
  readonly #broker: MqttBroker;
  readonly #publishers = new Map<string, Publisher>();

  constructor(ingest: Ingest, broker: MqttBroker) {
    this.#ingest = ingest;
    this.#broker = broker;
  }

  async publish(request: PublishRequest): Promise<void> {
    const { topic, clientId = 'sluice' } = request;
    const wrong = validateTopicName(topic);
    if (wrong !== undefined) throw new SluiceError('PUBLISH_REFUSED', wrong);
    const publisher = this.#publisher(clientId);
    const message: Message = {
      clientId,
      user: '',
      topic,
      payload: typeof request.payload === 'string' ? Buffer.from(request.payload) : request.payload,
      qos: request.qos ?? 1,
      retain: request.retain ?? false,
      dup: false,
      origin: Origin.library,
      receivedAt: Date.now(),
      properties: request.properties,
    };
    await new Promise<void>((resolve, reject) => {
      this.#ingest.admit(new LibraryAdmission(publisher, message, resolve, reject));
    });
    await this.#broker.publish(message);
  }

  #publisher(clientId: string): Publisher {
    let publisher = this.#publishers.get(clientId);
    // A refusal ends a connection; a program goes on as a new one.
    if (publisher === undefined || publisher.refused) {
      if (this.#publishers.size >= PUBLISHERS_MAX) this.#publishers.clear();
      publisher = this.#ingest.publisher(clientId, '', false);
      this.#publishers.set(clientId, publisher);
    }
    return publisher;
  }
}

class LibraryAdmission extends Admission {
  readonly #resolve: () => void;
  readonly #reject: (error: SluiceError) => void;

  constructor(publisher: Publisher, message: Message, resolve: () => void, reject: (error: SluiceError) => void) {
    super(publisher, message);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  protected onAccepted(): void {
    this.#resolve();
  }

  protected onForbidden(reason: Forbidden): void {
    this.#reject(new SluiceError('PUBLISH_REFUSED', `${this.message.topic}: ${this.forbiddenDetail ?? reason}`));
  }

  protected onRefused(error: SluiceError): void {
    this.#reject(error);
  }

  protected onDropped(): void {
    this.#reject(new SluiceError('STORE_FULL', 'the buffer is full and the message has QoS 0'));
  }
}
