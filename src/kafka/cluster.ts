import { errorText } from '../errors.ts';
import { BrokerConnection } from './connection.ts';
import type { KafkaLog } from './options.ts';
import { Metadata, type Api, type MetadataAnswer } from './protocol.ts';
import { KafkaFault } from './sink.ts';
import type { Wire } from './wire.ts';

/** What can be asked of any broker has to come sooner than a produce request, for the next one can be asked. */
const ASK_DEADLINE_MS = 5_000;
/** How long one look at whether the cluster answers counts. */
const REACHABLE_FOR_MS = 500;

/** The brokers: those that were configured, and those that they name. */
export class Cluster {
  readonly #wire: Wire;
  readonly #log: KafkaLog;
  readonly #seeds: BrokerConnection[];
  readonly #nodes = new Map<number, BrokerConnection>();
  #controllerId = -1;
  #clusterId: string | null = null;
  #replaced: () => void = () => {};
  #probe: Promise<boolean> | undefined;
  #closed = false;

  constructor(wire: Wire, log: KafkaLog) {
    this.#wire = wire;
    this.#log = log;
    this.#seeds = wire.settings.brokers.map(({ host, port }) => new BrokerConnection(host, port, wire));
  }

  /** Told when the addresses lead to another cluster than before: nothing that was learned of the old one holds. */
  onReplaced(listener: () => void): void {
    this.#replaced = listener;
  }

  /** undefined: not (any more) part of the cluster as far as is known. */
  node(nodeId: number): BrokerConnection | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Brokers, and these topics; an error of a topic is in its entry. @throws KafkaFault cluster */
  async metadata(topics: readonly string[]): Promise<MetadataAnswer> {
    const answer = await this.ask(Metadata, topics);
    this.#learn(answer);
    return answer;
  }

  /** Asks one broker after the other until one answers. @throws KafkaFault cluster, of the last one */
  async ask<Args, Answer extends { readonly throttleMs: number }>(api: Api<Args, Answer>, args: Args): Promise<Answer> {
    let fault: KafkaFault | undefined;
    for (const connection of this.#inOrder()) {
      if (this.#closed) break;
      try {
        const deadlineMs = Math.min(this.#wire.settings.requestTimeoutMs, ASK_DEADLINE_MS);
        return await connection.request(api, args, deadlineMs);
      } catch (error) {
        fault =
          error instanceof KafkaFault
            ? error
            : new KafkaFault('cluster', 'REQUEST_FAILED', errorText(error), { cause: error });
      }
    }
    throw fault ?? new KafkaFault('cluster', 'CLOSED', 'this sink is closed');
  }

  /** Asks the controller, or any broker while none is known (with KRaft each passes it on). */
  async askController<Args, Answer extends { readonly throttleMs: number }>(
    api: Api<Args, Answer>,
    args: Args,
  ): Promise<Answer> {
    const controller = this.#nodes.get(this.#controllerId);
    return controller === undefined ? this.ask(api, args) : controller.request(api, args);
  }

  /** Whether any broker answers now: a fault of one broker is only its topics' affair while the others work. */
  reachable(): Promise<boolean> {
    if (this.#probe === undefined) {
      this.#probe = this.metadata([]).then(
        () => true,
        () => false,
      );
      void this.#probe.then(() => setTimeout(() => (this.#probe = undefined), REACHABLE_FOR_MS).unref());
    }
    return this.#probe;
  }

  close(): void {
    this.#closed = true;
    for (const connection of [...this.#seeds, ...this.#nodes.values()]) connection.close();
  }

  /** Those that are connected and well first, then others of the cluster, then the configured addresses. */
  #inOrder(): BrokerConnection[] {
    const rank = (connection: BrokerConnection): number => (connection.failed ? 2 : connection.connected ? 0 : 1);
    const nodes = [...this.#nodes.values()].sort((a, b) => rank(a) - rank(b));
    const known = new Set(nodes.map(({ address }) => address));
    return [...nodes, ...this.#seeds.filter(({ address }) => !known.has(address))];
  }

  #learn({ brokers, clusterId, controllerId }: MetadataAnswer): void {
    if (this.#closed) return;
    this.#controllerId = controllerId;
    for (const { nodeId, host, port } of brokers) {
      const known = this.#nodes.get(nodeId);
      if (known?.host === host && known.port === port) continue;
      const seed = this.#seeds.find((each) => each.host === host && each.port === port);
      this.#nodes.set(nodeId, seed ?? new BrokerConnection(host, port, this.#wire));
      this.#leave(known);
    }
    // A broker that is down is not listed; one that is back is.
    const listed = new Set(brokers.map(({ nodeId }) => nodeId));
    for (const [nodeId, connection] of this.#nodes) {
      if (brokers.length === 0 || listed.has(nodeId)) continue;
      this.#nodes.delete(nodeId);
      this.#leave(connection);
    }
    if (this.#clusterId !== null && clusterId !== null && clusterId !== this.#clusterId) {
      this.#log('warn', 'the brokers belong to another Kafka cluster than before', {
        before: this.#clusterId,
        clusterId,
      });
      this.#replaced();
    }
    this.#clusterId = clusterId ?? this.#clusterId;
  }

  /** Seeds stay: they are where to begin anew. */
  #leave(connection: BrokerConnection | undefined): void {
    if (connection === undefined || this.#seeds.includes(connection)) return;
    if ([...this.#nodes.values()].includes(connection)) return;
    connection.close();
  }
}
