import net from 'node:net';
import { freePort } from '../../scripts/services/index.mjs';

/** `up` is from the client to the service, `down` what the service answers. */
export type Direction = 'up' | 'down' | 'both';

export interface Proxy {
  readonly port: number;
  /** Connections through it now, and since its start. */
  readonly connections: number;
  readonly accepted: number;
  /** Bytes forwarded since its start. */
  readonly bytes: { readonly up: number; readonly down: number };
  /**
   * Forwards nothing in that direction, but keeps all sockets and takes new ones: a service that hangs. What a client
   * sent before it gave up still reaches the service on resume(), as it does when a stopped process goes on.
   */
  hang(direction?: Direction): void;
  /** Each chunk arrives that much later; their order stays. */
  delay(ms: number, direction?: Direction): void;
  /** Resets every connection now. */
  cut(): void;
  /** Resets the first connection on which that many more bytes have passed, in the middle of a frame if it falls there. */
  cutAfter(bytes: number, direction?: Direction): void;
  /** Resets every connection and listens no more. */
  refuse(): Promise<void>;
  /** Forwards as if nothing had been; first what was held back. */
  resume(): Promise<void>;
  stop(): Promise<void>;
}

interface Rule {
  hang: boolean;
  delayMs: number;
  cutAfterBytes: number | undefined;
}

const UNDISTURBED: Rule = { hang: false, delayMs: 0, cutAfterBytes: undefined };
/** Beyond this a sender is held up by TCP, as by a service that does not read. */
const QUEUE_MAX_BYTES = 1024 * 1024;

/** One direction of one connection: bytes wait in `#queue` until they are due and the rule lets them pass. */
class Flow {
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  readonly #passed: (bytes: number) => void;
  readonly #cut: () => void;
  readonly #queue: { chunk: Buffer; dueMs: number }[] = [];
  #queuedBytes = 0;
  #rule: Rule;
  #bytesLeft: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #end: 'open' | 'ended' | 'reset' = 'open';

  constructor(from: net.Socket, to: net.Socket, rule: Rule, passed: (bytes: number) => void, cut: () => void) {
    this.#from = from;
    this.#to = to;
    this.#rule = rule;
    this.#bytesLeft = rule.cutAfterBytes;
    this.#passed = passed;
    this.#cut = cut;
    from.on('data', (chunk: Buffer) => {
      this.#queue.push({ chunk, dueMs: performance.now() + this.#rule.delayMs });
      this.#queuedBytes += chunk.length;
      this.#pump();
      if (this.#queuedBytes > QUEUE_MAX_BYTES) from.pause();
    });
    from.on('error', () => (this.#end = 'reset'));
    from.on('end', () => this.#ended());
    from.on('close', () => this.#ended());
    to.on('drain', () => from.resume());
  }

  follow(rule: Rule): void {
    this.#rule = rule;
    this.#bytesLeft = rule.cutAfterBytes;
    if (rule.delayMs === 0) for (const each of this.#queue) each.dueMs = 0;
    this.#pump();
  }

  #ended(): void {
    if (this.#end === 'open') this.#end = 'ended';
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (!this.#rule.hang) {
      const [head] = this.#queue;
      if (head === undefined) return this.#finish();
      const waitMs = head.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs);
        return;
      }
      this.#queue.shift();
      this.#queuedBytes -= head.chunk.length;
      this.#forward(head.chunk);
      if (this.#queue.length === 0 && !this.#to.writableNeedDrain) this.#from.resume();
    }
  }

  #forward(chunk: Buffer): void {
    // The client has gone: what it is still sent is read and thrown away.
    if (this.#to.destroyed) return;
    const left = this.#bytesLeft;
    if (left === undefined || chunk.length < left) {
      if (left !== undefined) this.#bytesLeft = left - chunk.length;
      this.#passed(chunk.length);
      if (!this.#to.write(chunk)) this.#from.pause();
      return;
    }
    this.#rule = { ...this.#rule, hang: true };
    this.#passed(left);
    // A reset throws away what the socket has not sent yet; the bytes before the cut are to arrive.
    this.#to.write(chunk.subarray(0, left), () => this.#cut());
  }

  #finish(): void {
    if (this.#end === 'open' || this.#to.destroyed) return;
    if (this.#end === 'reset') this.#to.resetAndDestroy();
    else this.#to.end();
  }
}

interface Connection {
  client: net.Socket;
  service: net.Socket;
  up: Flow;
  down: Flow;
}

/** A TCP proxy on 127.0.0.1 in front of `targetPort` that breaks connections as networks and hanging services do. */
export async function startProxy(targetPort: number, options: { port?: number } = {}): Promise<Proxy> {
  const port = options.port ?? (await freePort());
  const connections = new Set<Connection>();
  const bytes = { up: 0, down: 0 };
  const rules = { up: UNDISTURBED, down: UNDISTURBED };
  let accepted = 0;

  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    accepted += 1;
    const service = net.connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const cut = (): void => {
      setRule('both', { cutAfterBytes: undefined });
      reset(connection);
    };
    const connection: Connection = {
      client,
      service,
      up: new Flow(client, service, rules.up, (length) => (bytes.up += length), cut),
      down: new Flow(service, client, rules.down, (length) => (bytes.down += length), cut),
    };
    connections.add(connection);
    const closed = (): void => {
      if (client.destroyed && service.destroyed) connections.delete(connection);
    };
    client.on('close', closed);
    service.on('close', closed);
  });

  const listen = (): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });

  function reset({ client, service }: Connection): void {
    client.resetAndDestroy();
    service.resetAndDestroy();
  }

  function resetAll(): void {
    for (const connection of connections) reset(connection);
    connections.clear();
  }

  function setRule(direction: Direction, change: Partial<Rule>): void {
    for (const each of ['up', 'down'] as const) {
      if (direction !== 'both' && direction !== each) continue;
      rules[each] = { ...rules[each], ...change };
      for (const connection of connections) connection[each].follow(rules[each]);
    }
  }

  const closeServer = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      resetAll();
    });

  await listen();
  // A forgotten proxy must not keep the process of a test.
  server.unref();
  return {
    port,
    get connections() {
      return connections.size;
    },
    get accepted() {
      return accepted;
    },
    bytes,
    hang: (direction = 'both') => setRule(direction, { hang: true }),
    delay: (ms, direction = 'both') => setRule(direction, { delayMs: ms }),
    cut: resetAll,
    cutAfter: (count, direction = 'both') => setRule(direction, { cutAfterBytes: count }),
    refuse: () => (server.listening ? closeServer() : Promise.resolve()),
    async resume() {
      setRule('both', UNDISTURBED);
      if (!server.listening) await listen();
    },
    stop: () => (server.listening ? closeServer() : Promise.resolve()),
  };
}
