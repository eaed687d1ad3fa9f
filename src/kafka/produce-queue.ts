import { errorText } from '../errors.ts';
import type { BrokerConnection } from './connection.ts';
import { Produce, type PartitionAnswer, type PartitionBatch } from './protocol.ts';
import { KafkaFault } from './sink.ts';

interface Waiting {
  readonly batch: PartitionBatch;
  readonly resolve: (answer: PartitionAnswer) => void;
  readonly reject: (fault: KafkaFault) => void;
}

/** A produce request was answered; one that fails for want of an answer is not measured. */
export type RequestMeasured = (ms: number) => void;

/** A broker works on one request of a connection at a time; the second is there when it has done with the first. */
const IN_FLIGHT_MAX = 2;
/** Batches of one request together; one larger batch goes alone. */
const REQUEST_MAX_BYTES = 4 * 1024 * 1024;

/**
 * Sends the batches for one broker. What comes within one turn of the event loop, or while requests are under way, goes as
 * one request, as the Java client does it: many small requests cost the broker and us more than one.
 */
export class ProduceQueue {
  readonly #connection: () => BrokerConnection | undefined;
  readonly #timeoutMs: number;
  readonly #measured: RequestMeasured;
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #scheduled = false;

  /** @param connection the broker's connection as it is now; undefined: it is not part of the cluster any more */
  constructor(
    connection: () => BrokerConnection | undefined,
    requestTimeoutMs: number,
    measured: RequestMeasured = () => {},
  ) {
    this.#connection = connection;
    this.#measured = measured;
    // The broker gives up first: its answer says more than our silence.
    this.#timeoutMs = Math.floor(requestTimeoutMs * 0.9);
  }

  /** One batch of a partition at a time. @throws KafkaFault cluster: no answer */
  send(batch: PartitionBatch): Promise<PartitionAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      if (this.#scheduled || this.#inFlight >= IN_FLIGHT_MAX) return;
      this.#scheduled = true;
      setImmediate(this.#flush);
    });
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    while (this.#inFlight < IN_FLIGHT_MAX && this.#waiting.length > 0) void this.#request(this.#take());
  };

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { batch } of this.#waiting) {
      bytes += batch.batch.length;
      if (bytes > REQUEST_MAX_BYTES && count > 0) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #request(sent: Waiting[]): Promise<void> {
    this.#inFlight++;
    const sentAt = performance.now();
    try {
      const connection = this.#connection();
      if (connection === undefined) throw new KafkaFault('cluster', 'BROKER_GONE', 'the leader has left the cluster');
      const batches = sent.map(({ batch }) => batch);
      if (batches.length > 1) batches.sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0));
      const { partitions } = await connection.request(Produce, { batches, timeoutMs: this.#timeoutMs });
      this.#measured(performance.now() - sentAt);
      this.#answer(sent, partitions);
    } catch (error) {
      const fault =
        error instanceof KafkaFault
          ? error
          : new KafkaFault('cluster', 'REQUEST_FAILED', errorText(error), { cause: error });
      // What waits would go to the same broker, and wait for the same time again.
      for (const { reject } of [...sent, ...this.#waiting.splice(0)]) reject(fault);
    } finally {
      this.#inFlight--;
      this.#flush();
    }
  }

  #answer(sent: Waiting[], answers: readonly PartitionAnswer[]): void {
    for (const { batch, resolve, reject } of sent) {
      const answer = answers.find(({ topic, partition }) => topic === batch.topic && partition === batch.partition);
      if (answer !== undefined) resolve(answer);
      else reject(new KafkaFault('cluster', 'UNREADABLE_ANSWER', `no answer for ${batch.topic}/${batch.partition}`));
    }
  }
}
