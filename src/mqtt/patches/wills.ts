/**
 * Wills, in place of aedes' own way with them. aedes 2.0.0-beta.1 deletes a persisted will when the authorization fails; it
 * sends the wills of clients that it closes itself; at a take-over it deletes the persisted will of the *new* connection; and
 * its look for wills of dead brokers starts over while the last one still waits.
 *
 *     connection ends without DISCONNECT ─┬─ by the client ──> [will delay] ──> due
 *                                         └─ by us (outage) ─> held for a grace ──> due, unless the client came back
 *     process found dead ──> claimed (by one process) ──> [will delay] ──> due, unless the client came back
 *     due ──> admitted like any publish, again until it is committed ──> published to subscribers ──> removed from the store
 *     we stop ──> stays in the store, for the next process
 */
import type { Forbidden, Publisher } from '../../ingest/admission.ts';
import { Admission } from '../../ingest/admission.ts';
import { Origin } from '../../message.ts';
import { willFault } from '../access.ts';
import { connectionOf, type BrokerCore, type Connection } from '../connection.ts';
import { inboundMessage } from '../inbound.ts';
import { storedWill, type StoredWill, type WillStore } from '../sessions/will-store.ts';
import type { AedesClient, WillPacket } from './internals.ts';

export interface WillOptions {
  /** Least time that a client which we closed has to come back. At least 1.5 times its keep alive in any case. */
  readonly graceMs: number;
  /** Between two looks for the wills of dead processes: four heartbeats. */
  readonly sweepMs: number;
}

/** Wills that are admitted at the same time: many devices may die at once. */
const IN_FLIGHT_MAX = 64;
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 5_000;

export class Wills {
  readonly #core: BrokerCore;
  readonly #store: WillStore;
  readonly #options: WillOptions;
  readonly #due: StoredWill[] = [];
  #inFlight = 0;
  #failures = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  #sweepTimer: NodeJS.Timeout | undefined;
  #sweeping = false;
  #stopped = false;
  /** Wills of dead processes whose delay is not over: token -> when it is. */
  readonly #delayed = new Map<string, number>();
  /** Wills of our own connections whose delay is not over, by client id. */
  readonly #waiting = new Map<string, { readonly client: AedesClient; readonly will: WillPacket }>();
  readonly #scheduleWill: (client: AedesClient, will: WillPacket, delaySeconds: number) => void;

  constructor(core: BrokerCore, store: WillStore, options: WillOptions) {
    this.#core = core;
    this.#store = store;
    this.#options = options;
    this.#scheduleWill = core.aedes.scheduleWill.bind(core.aedes);
  }

  /** After listen(). */
  install(): void {
    const { aedes } = this.#core;
    clearInterval(aedes._clearWillInterval);
    aedes.publishWill = (client, will) => this.#connectionEnded(client, will);
    aedes.scheduleWill = (client, will, delaySeconds) => {
      const connection = connectionOf(client);
      if (this.#stopped) return;
      if (connection.sessionReplaced) {
        this.#connectionEnded(client, will);
        return;
      }
      this.#waiting.set(client.id, { client, will });
      // Both delays are over when the longer one is.
      const held = connection.endedByUs && !connection.willHeld;
      connection.willHeld = true;
      this.#scheduleWill(client, will, held ? Math.max(delaySeconds, this.#graceSeconds(client)) : delaySeconds);
    };
    this.#sweepTimer = setInterval(() => void this.#sweep(), this.#options.sweepMs);
    this.#sweepTimer.unref();
  }

  /** From now on nothing is sent; what is not sent stays in the store. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#sweepTimer);
    clearTimeout(this.#retryTimer);
  }

  /** Wills that wait for the buffer. */
  get pending(): number {
    return this.#due.length + this.#inFlight;
  }

  /**
   * A will is due when its delay is over or its session ends, whichever is first (MQTT 5.0 §3.1.3.2.2): a clean start ends the
   * session, and the will of an earlier connection is not to be withdrawn with it.
   */
  beforeTakeOver(clientId: string, old: Connection | undefined, cleanStart: boolean): void {
    const waiting = this.#waiting.get(clientId);
    this.#waiting.delete(clientId);
    if (!cleanStart) return;
    if (old !== undefined) old.sessionReplaced = true;
    const { aedes } = this.#core;
    if (waiting === undefined || !aedes.delayedWills.has(clientId)) return;
    aedes.clearDelayedWill(clientId);
    // An outage of ours is held back as always: the client is there.
    if (!connectionOf(waiting.client).endedByUs) this.#sendNow(waiting.client, waiting.will);
  }

  /** For the handshake. */
  async put(client: AedesClient, packet: WillPacket): Promise<void> {
    const { aedes } = this.#core;
    const will = storedWill(packet, client.id, '', aedes.id);
    connectionOf(client).willToken = will.token;
    await this.#store.put(will);
  }

  async forget(client: AedesClient): Promise<void> {
    await this.#store.remove(client.id);
  }

  /** The connection is closed for good. A client that took its leave wants no will [MQTT-3.14.4-3]. */
  closed(client: AedesClient): void {
    const { willToken } = connectionOf(client);
    if (client._disconnected && willToken !== undefined) this.#remove(client.id, willToken);
  }

  /** aedes: the will of this client is to be sent now (or after the delay that we have set for it). */
  #connectionEnded(client: AedesClient, packet: WillPacket): void {
    const connection = connectionOf(client);
    const { willToken: token } = connection;
    if (this.#stopped || token === undefined) return;
    if (connection.publisher === undefined) {
      // It never got as far as CONNACK: there is no session for the will to belong to.
      this.#remove(client.id, token);
      return;
    }
    const will = this.#allowed(client, packet, token);
    if (will === undefined) return;
    if (connection.willHeld) {
      void this.#fellDueUnlessBack(will);
    } else if (connection.endedByUs) {
      connection.willHeld = true;
      this.#scheduleWill(client, packet, this.#graceSeconds(client));
    } else {
      this.#fellDue(will);
    }
  }

  #sendNow(client: AedesClient, packet: WillPacket): void {
    const { willToken } = connectionOf(client);
    const will = willToken === undefined ? undefined : this.#allowed(client, packet, willToken);
    if (will !== undefined) this.#fellDue(will);
  }

  /** It was when the client connected; rules may have changed. */
  #allowed(client: AedesClient, packet: WillPacket, token: string): StoredWill | undefined {
    const connection = connectionOf(client);
    const user = connection.publisher?.user ?? '';
    const will = { ...storedWill(packet, client.id, user, this.#core.aedes.id), token };
    if (willFault(connection, packet) === undefined) return will;
    this.#core.events.willForbidden(will.clientId, will.topic);
    this.#remove(will.clientId, will.token);
    return undefined;
  }

  #graceSeconds(client: AedesClient): number {
    return Math.max(this.#options.graceMs, connectionOf(client).keepAliveMs) / 1000;
  }

  /** The client may be connected to another process, which has then removed the will or put another one. */
  async #fellDueUnlessBack(will: StoredWill): Promise<void> {
    try {
      if (!(await this.#store.holds(will.clientId, will.token))) return;
    } catch (error) {
      this.#core.events.fault('session store: look for a will', error);
    }
    this.#fellDue(will);
  }

  #fellDue(will: StoredWill): void {
    this.#due.push(will);
    this.#sendDue();
  }

  #sendDue(): void {
    while (!this.#stopped && this.#retryTimer === undefined && this.#inFlight < IN_FLIGHT_MAX) {
      const will = this.#due.shift();
      if (will === undefined) return;
      this.#inFlight++;
      const { ingest } = this.#core;
      // A publisher of its own: that of the connection may have been refused, and takes nothing any more.
      ingest.admit(new WillAdmission(ingest.publisher(will.clientId, will.user, false), will, this));
    }
  }

  /** The will is durable, or on no route: now its subscribers get it. */
  accepted(will: StoredWill): void {
    this.#inFlight--;
    this.#failures = 0;
    this.#core.counters.willsSent++;
    this.#core.aedes.publish(publication(will), null, (error) => {
      if (error) this.#core.events.fault('delivery of a will', error);
      this.#remove(will.clientId, will.token);
    });
    this.#sendDue();
  }

  forbidden(will: StoredWill): void {
    this.#inFlight--;
    this.#core.events.willForbidden(will.clientId, will.topic);
    this.#remove(will.clientId, will.token);
    this.#sendDue();
  }

  /** Not committed, or dropped for want of room: a will waits until it can be, of QoS 0 too. */
  refused(will: StoredWill): void {
    this.#inFlight--;
    this.#due.push(will);
    if (this.#stopped || this.#retryTimer !== undefined) return;
    const delayMs = Math.min(RETRY_MIN_MS * 2 ** Math.min(this.#failures++, 10), RETRY_MAX_MS);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.#sendDue();
    }, delayMs);
  }

  /** Takes over the wills of processes that are dead. A client that came back has removed or replaced its own. */
  async #sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const now = performance.now();
    const seen = new Set<string>();
    try {
      for await (const will of this.#store.all()) {
        if (this.#stopped) return;
        if (this.#alive(will.brokerId)) continue;
        if (will.delaySeconds > 0) {
          seen.add(will.token);
          const until = this.#delayed.get(will.token) ?? now + will.delaySeconds * 1000 - this.#options.sweepMs;
          this.#delayed.set(will.token, until);
          if (until > now) continue;
        }
        const { id } = this.#core.aedes;
        if (await this.#store.claim(will, id)) this.#fellDue({ ...will, brokerId: id });
      }
      for (const token of this.#delayed.keys()) if (!seen.has(token)) this.#delayed.delete(token);
    } catch (error) {
      this.#core.events.fault('session store: look for wills', error);
    } finally {
      this.#sweeping = false;
    }
  }

  #alive(brokerId: string): boolean {
    const { aedes } = this.#core;
    if (brokerId === aedes.id) return true;
    const heartbeat = aedes.brokers[brokerId];
    return heartbeat !== undefined && heartbeat + 0.75 * this.#options.sweepMs >= Date.now();
  }

  #remove(clientId: string, token: string): void {
    this.#store.remove(clientId, token).catch((error: unknown) => {
      this.#core.events.fault('session store: remove a will', error);
    });
  }
}

function publication(will: StoredWill): object {
  const { topic, payload, qos, retain, properties } = will;
  return {
    cmd: 'publish',
    topic,
    payload,
    qos,
    retain,
    dup: false,
    ...(properties === undefined ? {} : { properties }),
  };
}

class WillAdmission extends Admission {
  readonly #will: StoredWill;
  readonly #wills: Wills;

  constructor(publisher: Publisher, will: StoredWill, wills: Wills) {
    super(publisher, inboundMessage(will, will.clientId, will.user, Origin.will));
    this.#will = will;
    this.#wills = wills;
  }

  protected override onAccepted(): void {
    this.#wills.accepted(this.#will);
  }
  protected override onForbidden(_reason: Forbidden): void {
    this.#wills.forbidden(this.#will);
  }
  protected override onRefused(): void {
    this.#wills.refused(this.#will);
  }
  protected override onDropped(): void {
    this.#wills.refused(this.#will);
  }
}
