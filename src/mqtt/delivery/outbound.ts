/**
 * What goes to one subscriber: packet ids, flow control, topic aliases, sizes and expiry, and the end of each QoS 1 and 2
 * handshake.
 *
 *     send ─┬─ QoS 0 ──────────────────────────────────────────────────────> written
 *           └─ QoS 1, 2 ──> waiting ──(window and socket have room)──> written, in flight ──PUBACK, PUBCOMP──> completed
 *                 │ too much waits
 *                 ├─ of a session in the store: left there, and read again once there is room (`behind`)
 *                 └─ else: the connection ends
 *
 * A client that resumes its session starts behind, with what was sent and not completed before.
 */
import { mayReceive } from '../access.ts';
import type { Connection } from '../connection.ts';
import type { Delivery, Publication, QueueChange, QueuedMessage, SentMessage } from '../sessions/store.ts';
import { pubrel, ReasonCode } from '../wire.ts';
import { Journal, type JournalStore } from './journal.ts';
import { publishBytes } from './publish-bytes.ts';
import type { Receipt } from './receipt.ts';
import { TopicAliases } from './topic-aliases.ts';

export interface OutboundLimits {
  /** Receive Maximum of the client [MQTT-3.3.4-9], or our own bound. */
  readonly windowMax: number;
  /** Maximum Packet Size of the client [MQTT-3.1.2-24]; Infinity: none. */
  readonly packetMaxBytes: number;
  /** Topic Alias Maximum of the client [MQTT-3.1.2-26]. */
  readonly topicAliasMax: number;
  /** What may wait, in the socket and here. */
  readonly waitingMaxBytes: number;
}

export interface OutboundStore extends JournalStore {
  queued(clientId: string, after: string | undefined, limit: number): Promise<QueuedMessage[]>;
}

export interface Message {
  readonly publication: Publication;
  readonly delivery: Delivery;
  /** Its name in the queue of the session; undefined: it is not stored. */
  readonly key: string | undefined;
  /** Of one that is not stored, and for which somebody answers. */
  readonly receipt?: Receipt | undefined;
}

interface InFlight extends Message {
  /** It is on its way; until then it waits for its packet id to be stored. */
  written: boolean;
  released: boolean;
}

/** Queued messages read at a time. */
const PAGE = 32;
/** Keys of messages that were read from the store and may be told of once more, by an emitter that is late. */
const RECENT_MAX = 1_024;
/** Written and not taken by the network: beyond it nothing more of QoS 1 and 2 is written. */
const SOCKET_MAX_BYTES = 256 * 1024;
/** The same for QoS 0: beyond it a message passes the client by. Of each client, and these bytes are shared with no other. */
const SOCKET_QOS0_MAX_BYTES = 512 * 1024;

/** Stands for a message that was sent, and is in the queue no more. */
const NOTHING = {
  publication: {
    topic: '',
    payload: Buffer.alloc(0),
    qos: 2,
    retain: false,
    properties: undefined,
    expiresAt: undefined,
  },
  delivery: { qos: 2, retain: false, identifiers: undefined, share: undefined },
} as const;

export class Outbound {
  readonly #connection: Connection;
  readonly #limits: OutboundLimits;
  readonly #store: OutboundStore;
  readonly #journal: Journal;
  readonly #aliases: TopicAliases | undefined;
  readonly #inFlight = new Map<number, InFlight>();
  /** In flight, and not written yet. */
  #unwritten = 0;
  #waiting: Message[] = [];
  #waitingBytes = 0;
  #lastId = 0;
  /** What is to come is in the store, and read from there. */
  #behind = false;
  /** Something was stored since the store was last read. */
  #missed = false;
  #reading = false;
  #cursor: string | undefined;
  /** In flight, or completed and not yet removed from the store. */
  readonly #known = new Set<string>();
  readonly #recent = new Set<string>();
  /** Sent over an earlier connection and not completed: by key, with the packet ids that are taken. */
  readonly #resumed = new Map<string, SentMessage>();
  readonly #resumedIds = new Set<number>();
  #awaitingRoom: (() => void)[] = [];
  #draining = false;
  #pumping = false;
  #closed = false;

  constructor(connection: Connection, limits: OutboundLimits, store: OutboundStore) {
    this.#connection = connection;
    this.#limits = limits;
    this.#store = store;
    this.#journal = new Journal(store, connection.client.id, (change) => this.#stored(change));
    if (limits.topicAliasMax > 0) this.#aliases = new TopicAliases(limits.topicAliasMax);
  }

  /** The session goes on: sends again what was not completed, then what has been queued [MQTT-4.4.0-1]. */
  resume(sent: readonly SentMessage[]): void {
    for (const one of sent) {
      this.#resumed.set(one.key, one);
      this.#resumedIds.add(one.packetId);
    }
    this.#behind = true;
    void this.#catchUp();
  }

  send(publication: Publication, delivery: Delivery, key: string | undefined, receipt?: Receipt): void {
    if (this.#closed || this.#connection.ending) return;
    if (delivery.qos === 0) {
      this.#sendQos0(publication, delivery, receipt);
      return;
    }
    if (key !== undefined) {
      if (this.#behind) {
        this.#missed = true;
        return;
      }
      if (this.#recent.delete(key)) return;
    }
    const message = { publication, delivery, key, receipt: key === undefined ? receipt : undefined };
    message.receipt?.await();
    if (this.#waiting.length === 0 && this.#open) this.#transmit(message, true);
    else this.#wait(message);
  }

  /** The next message would be written at once. */
  get roomy(): boolean {
    return this.#waiting.length === 0 && this.#open;
  }

  /** It keeps up: neither window nor socket hold anything back. */
  get ready(): boolean {
    return !this.#closed && !this.#behind && this.roomy;
  }

  /** There is room, or nothing more goes here. */
  async room(): Promise<void> {
    while (!this.roomy && !this.#closed) await new Promise<void>((resolve) => this.#awaitingRoom.push(resolve));
  }

  puback(packetId: number): void {
    const message = this.#inFlight.get(packetId);
    if (message === undefined || message.delivery.qos !== 1) return;
    this.#complete(packetId, message);
  }

  pubrec(packetId: number, reasonCode: number): void {
    const message = this.#inFlight.get(packetId);
    if (message === undefined || message.delivery.qos !== 2) {
      // To an identifier that nobody knows PUBREL is the answer all the same (MQTT 5.0 §3.6.2.1).
      if (reasonCode < 0x80) this.#connection.write(pubrel(packetId, this.#notFound));
      return;
    }
    // §4.3.3: the client ends the exchange with an error code, and there is no PUBREL.
    if (reasonCode >= 0x80) {
      this.#complete(packetId, message);
      return;
    }
    message.released = true;
    // The client forgets the identifier at PUBREL: that it may is stored before.
    if (message.key === undefined) this.#connection.write(pubrel(packetId));
    else this.#journal.add({ kind: 'released', key: message.key, packetId });
  }

  pubcomp(packetId: number): void {
    const message = this.#inFlight.get(packetId);
    if (message?.released === true) this.#complete(packetId, message);
  }

  /** Ends it. Returns what another member of a shared subscription may have [MQTT-4.8.2-4 ff.], and forgets it here. */
  close(sessionEnds: boolean): Message[] {
    if (this.#closed) return [];
    this.#closed = true;
    const others: Message[] = [];
    const pass = (message: Message): void => {
      if (message.delivery.share === undefined) return;
      others.push(message);
      if (message.key !== undefined) this.#journal.add({ kind: 'removed', key: message.key });
    };
    for (const { receipt } of [...this.#inFlight.values(), ...this.#waiting]) receipt?.settle(false);
    // QoS 2 that was sent is never sent to another [MQTT-4.8.2-5].
    if (sessionEnds) {
      for (const message of this.#inFlight.values()) if (message.delivery.qos === 1) pass(message);
    }
    for (const message of this.#waiting) pass(message);
    this.#waiting = [];
    this.#inFlight.clear();
    this.#tellRoom();
    return others;
  }

  /** What was to be stored about this session is. */
  settled(): Promise<void> {
    return this.#journal.settled();
  }

  get #open(): boolean {
    const { conn } = this.#connection.client;
    return this.#inFlight.size < this.#limits.windowMax && conn.writableLength < SOCKET_MAX_BYTES;
  }

  get #notFound(): number | undefined {
    return this.#connection.client.version === 5 ? ReasonCode.packetIdentifierNotFound : undefined;
  }

  #sendQos0(publication: Publication, delivery: Delivery, receipt: Receipt | undefined): void {
    const { client, core } = this.#connection;
    const message = { publication, delivery, key: undefined };
    if (this.#isVoid(message, true)) return;
    const { writableLength } = client.conn;
    const max = Math.min(this.#limits.waitingMaxBytes, SOCKET_QOS0_MAX_BYTES);
    // One that is larger by itself goes to a client that reads.
    if (writableLength > 0 && writableLength + sizeOf(message) > max) {
      core.counters.undelivered++;
      return;
    }
    receipt?.written();
    this.#write(message, 0, false);
  }

  #wait(message: Message): void {
    const { client, core } = this.#connection;
    this.#waiting.push(message);
    this.#waitingBytes += sizeOf(message);
    if (this.#waitingBytes + client.conn.writableLength <= this.#limits.waitingMaxBytes) return;
    if (message.key !== undefined) {
      this.#fallBehind();
      return;
    }
    core.counters.undelivered += this.#waiting.length;
    this.#connection.endedByUs = true;
    client.emit('error', new Error('the subscriber does not read fast enough'));
  }

  /** What is in the store need not wait here, too. */
  #fallBehind(): void {
    this.#waiting = this.#waiting.filter(({ key }) => key === undefined);
    this.#waitingBytes = this.#waiting.reduce((bytes, each) => bytes + sizeOf(each), 0);
    this.#behind = true;
    this.#missed = true;
    this.#cursor = undefined;
    this.#pump();
  }

  #pump(): void {
    // A message that is given up while it is sent makes room for the next, which this loop sends.
    if (this.#pumping) return;
    this.#pumping = true;
    let sent = 0;
    while (sent < this.#waiting.length && this.#open && !this.#closed) {
      const message = this.#waiting[sent++] as Message;
      this.#waitingBytes -= sizeOf(message);
      this.#transmit(message, false);
    }
    if (sent > 0) this.#waiting.splice(0, sent);
    this.#pumping = false;
    if (!this.roomy) return;
    this.#tellRoom();
    if (this.#behind) void this.#catchUp();
  }

  #tellRoom(): void {
    for (const tell of this.#awaitingRoom.splice(0)) tell();
  }

  /** Reads on from the store, a page whenever there is room, until nothing new is in it. */
  async #catchUp(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#behind && this.roomy && !this.#closed && !this.#connection.ending) {
        this.#missed = false;
        const known = new Set(this.#known);
        const page = await this.#store.queued(this.#connection.client.id, this.#cursor, PAGE);
        if (page.length === 0 && !this.#missed) this.#caughtUp();
        for (const message of page) {
          this.#cursor = message.cursor;
          if (!known.has(message.key)) this.#redeliver(message);
        }
      }
    } catch {
      // The store reports it. The client comes back, and finds its session once the store has.
      this.#connection.end(ReasonCode.serverBusy);
    } finally {
      this.#reading = false;
    }
  }

  #caughtUp(): void {
    this.#behind = false;
    // Sent once, and no more in the queue.
    for (const sent of this.#resumed.values()) this.#abandon(sent);
    this.#resumed.clear();
    this.#resumedIds.clear();
  }

  #redeliver(message: QueuedMessage): void {
    if (this.#closed) return;
    const { key } = message;
    this.#recent.add(key);
    if (this.#recent.size > RECENT_MAX) {
      const [first] = this.#recent;
      this.#recent.delete(first as string);
    }
    const sent = this.#resumed.get(key);
    if (sent?.released === true) {
      this.#takeUp(sent, message);
      this.#connection.write(pubrel(sent.packetId));
    } else if (this.roomy) {
      this.#transmit(message, false);
    } else {
      this.#waiting.push(message);
      this.#waitingBytes += sizeOf(message);
    }
  }

  /** It goes on under the identifier that it had. */
  #takeUp(sent: SentMessage, { key, publication, delivery }: Message): void {
    this.#resumed.delete(sent.key);
    this.#resumedIds.delete(sent.packetId);
    this.#known.add(sent.key);
    this.#inFlight.set(sent.packetId, { key, publication, delivery, written: true, released: sent.released });
  }

  /**
   * It was sent, and is not sent again. The client may hold the identifier of a QoS 2 message, and would take another message
   * under it for a repeat: it is free only once the client has been told to release it [MQTT-4.3.3-4].
   */
  #abandon({ key, packetId, qos }: SentMessage): void {
    if (qos === 1) {
      this.#journal.add({ kind: 'removed', key });
      return;
    }
    this.#known.add(key);
    this.#inFlight.set(packetId, { ...NOTHING, key, written: true, released: true });
    this.#connection.write(pubrel(packetId));
  }

  /** Counts and leaves out what may not, or need not, be sent. `live`: it comes straight from its publisher. */
  #isVoid({ publication, key, receipt }: Message, live: boolean): boolean {
    const { counters } = this.#connection.core;
    if (!mayReceive(this.#connection, publication.topic)) {
      counters.withheld++;
    } else if (isOver(publication, live)) {
      counters.expired++;
    } else {
      return false;
    }
    receipt?.settle(false);
    if (key !== undefined) this.#journal.add({ kind: 'removed', key });
    return true;
  }

  #transmit(message: Message, live: boolean): void {
    const { key, delivery, publication, receipt } = message;
    const sent = key === undefined ? undefined : this.#resumed.get(key);
    if (sent !== undefined) {
      // An expiry is no matter here: the client may have it.
      if (!mayReceive(this.#connection, publication.topic)) {
        this.#connection.core.counters.withheld++;
        this.#resumed.delete(sent.key);
        this.#resumedIds.delete(sent.packetId);
        this.#abandon(sent);
        return;
      }
      this.#takeUp(sent, message);
      // [MQTT-3.3.1-1]
      this.#write(message, sent.packetId, true);
      return;
    }
    if (this.#isVoid(message, live)) return;
    const packetId = this.#nextId();
    // Exactly once, also if we are killed now: QoS 2 is sent under an identifier that is stored. What follows waits behind it.
    const later = key !== undefined && (delivery.qos === 2 || this.#unwritten > 0);
    this.#inFlight.set(packetId, { key, delivery, publication, receipt, written: !later, released: false });
    if (key !== undefined) {
      this.#known.add(key);
      this.#journal.add({ kind: 'sent', key, packetId, qos: delivery.qos === 2 ? 2 : 1 });
    }
    if (later) this.#unwritten++;
    else this.#write(message, packetId, false);
  }

  #write(message: Message, packetId: number, dup: boolean): void {
    const { publication, delivery } = message;
    const { core, client } = this.#connection;
    const { expiresAt, topic } = publication;
    const topicAlias = this.#aliases?.for(topic) ?? 0;
    const bytes = publishBytes(publication, {
      version: client.version ?? 4,
      qos: delivery.qos,
      retain: delivery.retain,
      dup,
      packetId,
      identifiers: delivery.identifiers,
      expiresInSeconds: expiresAt === undefined ? undefined : Math.max(0, Math.ceil((expiresAt - Date.now()) / 1000)),
      topicAlias,
      topicOmitted: this.#aliases?.known(topic) === true,
    });
    // As if its delivery were completed [MQTT-3.1.2-25].
    if (bytes.length > this.#limits.packetMaxBytes) {
      core.counters.undelivered++;
      if (packetId > 0) this.#complete(packetId, message, false);
      return;
    }
    if (topicAlias > 0) this.#aliases?.told(topic);
    core.counters.forwarded++;
    this.#connection.write(bytes);
    if (client.conn.writableNeedDrain) this.#awaitDrain();
  }

  /** aedes ends a client that takes nothing for too long. */
  #awaitDrain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#connection.client.waitForDrain(() => {
      this.#draining = false;
      this.#pump();
    });
  }

  #complete(packetId: number, { key, receipt }: Message, taken = true): void {
    this.#inFlight.delete(packetId);
    receipt?.settle(taken);
    if (key !== undefined) this.#journal.add({ kind: 'removed', key });
    if (!this.#closed) this.#pump();
  }

  #stored(change: QueueChange): void {
    if (change.kind === 'removed') {
      this.#known.delete(change.key);
      return;
    }
    if (this.#closed) return;
    const message = this.#inFlight.get(change.packetId);
    if (message?.key !== change.key) return;
    if (change.kind === 'released') {
      this.#connection.write(pubrel(change.packetId));
    } else if (!message.written) {
      this.#unwritten--;
      message.written = true;
      this.#write(message, change.packetId, false);
    }
  }

  /** Free in this session [MQTT-2.2.1-4]. */
  #nextId(): number {
    do {
      this.#lastId = this.#lastId === 65_535 ? 1 : this.#lastId + 1;
    } while (this.#inFlight.has(this.#lastId) || this.#resumedIds.has(this.#lastId));
    return this.#lastId;
  }
}

/** [MQTT-3.3.2-5]. One that lives for 0 seconds is for those to whom it can be sent the moment it comes. */
function isOver({ expiresAt, properties }: Publication, live: boolean): boolean {
  if (expiresAt === undefined || expiresAt > Date.now()) return false;
  return !live || properties?.['messageExpiryInterval'] !== 0;
}

/** About what it holds of memory. */
function sizeOf({ publication }: Message): number {
  return publication.payload.length + publication.topic.length + 64;
}
