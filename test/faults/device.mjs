// @ts-check
/**
 * A device on a bare socket, as real ones are: a persistent session, publishes in order with a window of unacknowledged
 * messages, backoff with jitter, and after a reconnect all that is unacknowledged again, in order, with the same packet
 * ids and DUP ([MQTT-4.4.0-1], [MQTT-4.6.0-1]), of QoS 2 the PUBREL where the PUBREC had come.
 *
 *     offline ──backoff──> connecting ──CONNACK──> online
 *        ^                     │ refused, timeout      │ closed, DISCONNECT, no PINGRESP
 *        └─────────────────────┴───────────────────────┘
 *
 * Unlike mqtt.js it resends everything at once, as the window allows it to, and it takes note of what a broker must not do:
 * acknowledge out of order ([MQTT-4.6.0-2]), refuse a message for an outage, forget the session.
 */
import net from 'node:net';
import * as packets from './packets.mjs';
import { makePayload } from './payload.mjs';

const { Type } = packets;

/** @typedef {import('./fleet.mjs').FleetOptions} FleetOptions */
/** @typedef {import('./fleet.mjs').Control} Control */
/** @typedef {{ sequence: number, state: 'publish' | 'release', startedAt: number }} InFlight */

const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 1_000;
/** How long a server may take to answer a CONNECT, and a PINGREQ. */
const ANSWER_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_S = 10;
const PACKET_ID_MAX = 65_535;

export class Device {
  attempted = 0;
  /** Sequences that were acknowledged: PUBACK, or PUBREC of QoS 2, from which on the message is the broker's. @type {number[]} */
  acknowledged = [];
  allowed = 0;
  reconnects = 0;
  /** Publishes that were sent again with DUP. */
  resent = 0;
  /** Acknowledgements with a code that makes a device give the message up. @type {Record<string, number>} */
  refused = {};
  /** What a v5 server said when it closed. @type {Record<string, number>} */
  disconnects = {};
  acksOutOfOrder = 0;
  sessionsLost = 0;
  /** @type {number[]} */
  latencies = [];
  lastAckAt = 0;

  /** @type {'offline' | 'connecting' | 'online'} */
  #state = 'offline';
  /** In the order of their first publish. @type {Map<number, InFlight>} */
  #inFlight = new Map();
  /** Packet ids whose PUBLISH went out on this connection and whose PUBACK or PUBREC has not come. @type {number[]} */
  #awaited = [];
  #awaitedFrom = 0;
  #nextPacketId = 1;
  #failures = 0;
  #window;
  #subscribed = false;
  #answerDueAt = Infinity;
  #pingDueAt = Infinity;
  /** @type {net.Socket | undefined} */
  #socket;

  /** @param {FleetOptions} options @param {Control} control @param {number} index */
  constructor(options, control, index) {
    this.options = options;
    this.control = control;
    this.name = `${options.prefix}${index}`;
    const topics = [options.topic].flat();
    this.topic = (topics[index % topics.length] ?? '').replaceAll('{device}', this.name);
    this.qos = typeof options.qos === 'number' ? options.qos : (options.qos[index % options.qos.length] ?? 1);
    /** @type {4 | 5} */
    this.version = options.protocolVersion === 'both' ? (index % 4 < 2 ? 4 : 5) : options.protocolVersion;
    this.#window = options.window;
    const { hostname, port } = new URL(options.urls[index % options.urls.length] ?? '');
    this.address = { host: hostname, port: Number(port) };
    // A fleet that is switched on at once must not knock at once.
    setTimeout(() => this.#connect(), Math.random() * 100);
  }

  get online() {
    return this.#state === 'online';
  }

  /** Nothing is under way, nothing is left to publish. */
  get done() {
    return (
      this.#inFlight.size === 0 && (this.control.stopping || this.attempted >= (this.options.messages ?? Infinity))
    );
  }

  /** Publishes as many as window and rate allow. */
  pump() {
    if (this.#state !== 'online') return;
    const { messages } = this.options;
    const { stopping, perSecond } = this.control;
    /** @type {Buffer[]} */
    const out = [];
    while (
      !stopping &&
      this.#inFlight.size < this.#window &&
      this.attempted < (messages ?? Infinity) &&
      (perSecond === undefined || this.allowed >= 1)
    ) {
      if (perSecond !== undefined) this.allowed--;
      const sequence = this.attempted++;
      const packetId = this.#takePacketId();
      this.#inFlight.set(packetId, { sequence, state: 'publish', startedAt: performance.now() });
      out.push(this.#publish(packetId, sequence, false));
    }
    this.#send(out);
  }

  /** What time brings: called often. */
  tick() {
    const now = performance.now();
    if (this.#state === 'offline') return;
    if (now > this.#answerDueAt) this.#socket?.destroy();
    else if (now > this.#pingDueAt) {
      this.#pingDueAt = now + (KEEP_ALIVE_S * 1000) / 2;
      this.#answerDueAt = now + ANSWER_TIMEOUT_MS;
      this.#send([packets.pingreq]);
    }
  }

  #connect() {
    if (this.#state !== 'offline') return;
    this.#state = 'connecting';
    const socket = net.connect({ ...this.address, noDelay: true });
    this.#socket = socket;
    this.#answerDueAt = performance.now() + ANSWER_TIMEOUT_MS;
    const reader = new packets.PacketReader();
    socket.on('connect', () =>
      this.#send([packets.connect({ clientId: this.name, version: this.version, keepAliveS: KEEP_ALIVE_S })]),
    );
    socket.on('data', (chunk) => {
      if (this.#socket === socket) for (const packet of reader.read(chunk)) this.#receive(packet);
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#closed(socket));
  }

  /** @param {net.Socket} socket */
  #closed(socket) {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#answerDueAt = this.#pingDueAt = Infinity;
    if (this.#state === 'online') this.reconnects++;
    this.#state = 'offline';
    const backoffMs = Math.min(BACKOFF_MIN_MS * 2 ** this.#failures++, BACKOFF_MAX_MS);
    setTimeout(() => this.#connect(), backoffMs * (0.5 + Math.random() / 2));
  }

  /** @param {packets.Received} packet */
  #receive({ type, body }) {
    this.#answerDueAt = Infinity;
    switch (type) {
      case Type.connack:
        return this.#connected(packets.readConnack(body, this.version));
      case Type.puback:
        return this.#acknowledge(packets.readAck(body), 'puback');
      case Type.pubrec:
        return this.#acknowledge(packets.readAck(body), 'pubrec');
      case Type.pubcomp:
        this.#complete(packets.readAck(body).packetId);
        return this.pump();
      case Type.suback:
        this.#subscribed = true;
        return;
      case Type.disconnect: {
        const code = `0x${(body[0] ?? 0).toString(16).padStart(2, '0')}`;
        this.disconnects[code] = (this.disconnects[code] ?? 0) + 1;
        return;
      }
      default:
        return;
    }
  }

  /** @param {{ sessionPresent: boolean, code: number, receiveMaximum: number }} connack */
  #connected({ sessionPresent, code, receiveMaximum }) {
    // Refused for now: the server closes, and backoff goes on.
    if (code !== 0) return;
    this.#state = 'online';
    this.#failures = 0;
    this.#pingDueAt = performance.now() + (KEEP_ALIVE_S * 1000) / 2;
    this.#window = Math.min(this.options.window, receiveMaximum);
    if (this.#subscribed && !sessionPresent) {
      this.sessionsLost++;
      this.#subscribed = false;
    }
    this.#awaited = [];
    this.#awaitedFrom = 0;
    /** @type {Buffer[]} */
    const out = [];
    for (const [packetId, { sequence, state }] of this.#inFlight) {
      if (state === 'publish') {
        this.resent++;
        out.push(this.#publish(packetId, sequence, true));
      } else out.push(packets.pubrel(packetId));
    }
    // A session without a subscription need not be kept by the broker; and devices listen for commands.
    if (!this.#subscribed) {
      const filter = `commands/${this.name}`;
      out.push(packets.subscribe({ filter, packetId: this.#takePacketId(), version: this.version }));
    }
    this.#send(out);
    this.pump();
  }

  /** @param {{ packetId: number, reason: number }} ack @param {'puback' | 'pubrec'} kind */
  #acknowledge({ packetId, reason }, kind) {
    const message = this.#inFlight.get(packetId);
    if (message === undefined || message.state !== 'publish') return;
    if (this.#awaited[this.#awaitedFrom] === packetId) this.#awaitedFrom++;
    else {
      this.acksOutOfOrder++;
      const at = this.#awaited.indexOf(packetId, this.#awaitedFrom);
      if (at >= 0) this.#awaited.splice(at, 1);
    }
    if (this.#awaitedFrom > 1_000) {
      this.#awaited.splice(0, this.#awaitedFrom);
      this.#awaitedFrom = 0;
    }
    if (reason >= 0x80) {
      const code = `0x${reason.toString(16)}`;
      this.refused[code] = (this.refused[code] ?? 0) + 1;
      this.#complete(packetId);
    } else {
      this.acknowledged.push(message.sequence);
      this.lastAckAt = Date.now();
      this.latencies.push(performance.now() - message.startedAt);
      if (kind === 'puback') this.#complete(packetId);
      else {
        message.state = 'release';
        this.#send([packets.pubrel(packetId)]);
      }
    }
    this.pump();
  }

  /** @param {number} packetId */
  #complete(packetId) {
    this.#inFlight.delete(packetId);
  }

  /** @param {number} packetId @param {number} sequence @param {boolean} dup */
  #publish(packetId, sequence, dup) {
    this.#awaited.push(packetId);
    const { bytes, oversized } = this.options;
    const length =
      oversized !== undefined && sequence % oversized.every === oversized.every - 1 ? oversized.bytes : bytes;
    const payload = makePayload(this.name, sequence, length);
    return packets.publish({ topic: this.topic, packetId, qos: this.qos, dup, version: this.version, payload });
  }

  #takePacketId() {
    do {
      this.#nextPacketId = (this.#nextPacketId % PACKET_ID_MAX) + 1;
    } while (this.#inFlight.has(this.#nextPacketId));
    return this.#nextPacketId;
  }

  /** @param {Buffer[]} parts */
  #send(parts) {
    if (parts.length > 0) this.#socket?.write(parts.length === 1 ? (parts[0] ?? '') : Buffer.concat(parts));
  }
}
