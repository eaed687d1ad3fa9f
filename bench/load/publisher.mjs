/**
 * One MQTT connection that publishes from pre-built packets with a window of unacknowledged messages, and writes once
 * for each refill.
 *
 *   slots:   free -> in flight -> acknowledged = free        (a ring; acknowledgements come in order [MQTT-4.6.0-2])
 *
 * QoS 0 has no acknowledgements: a PINGREQ ends each refill, its PINGRESP says that the broker has read up to there.
 * QoS 2 counts as acknowledged at PUBREC, where the broker has taken the message; its slot is free at PUBCOMP.
 */
import net from 'node:net';
import { monotonicMs } from '../clock.mjs';
import { publisherName, restamp, topicOf } from '../stamp.mjs';
import { AckReader, CONNACK, PINGRESP, PUBACK, PUBCOMP, PUBREC } from './acks.mjs';
import { connectPacket, DISCONNECT, PINGREQ, publishRing, pubrelRing } from './packets.mjs';

/** Packet ids have 16 bits; id 0 does not exist. [MQTT-2.3.1-1] */
const WINDOW_MAX = 65_535;

/**
 * @typedef {{ window: number, sizeBytes: number, qos: 0 | 1 | 2 }} Load
 * @typedef {{ latency: import('../histogram.mjs').Histogram, onAcknowledged: (count: number) => void,
 *   onFault: (text: string) => void }} Hooks
 */
export class Publisher {
  published = 0;
  acknowledged = 0;

  #number;
  #load;
  #hooks;
  #socket;
  #acks = new AckReader((type, id) => this.#packet(type, id));
  #connected;
  #ending = false;

  #ring;
  #packetBytes;
  #payloadAt;
  #pubrels;
  #sentAt;
  #quarter;
  /** First slot of the next refill, next slot to be acknowledged, next slot to be completed (QoS 2). */
  #next = 0;
  #oldest = 0;
  #completed = 0;
  #free;
  /** QoS 0: sizes of the refills that wait for their PINGRESP. */
  #refills = [];
  #closedLoop = false;
  /** Open loop: scheduled times of messages for which there was no slot yet. */
  #due = [];
  /** Per chunk of acknowledgements. */
  #readAt = 0;
  #pubrecs = 0;
  #chunkAcks = 0;

  /** @param {number} number @param {Load} load @param {Hooks} hooks */
  constructor(number, load, hooks) {
    if (load.window > WINDOW_MAX) throw new RangeError(`the window is limited to ${WINDOW_MAX}`);
    this.#number = number;
    this.#load = load;
    this.#hooks = hooks;
    const options = { topic: topicOf(number), publisher: number, qos: load.qos, sizeBytes: load.sizeBytes };
    const { ring, packetBytes, payloadAt } = publishRing({ ...options, slots: load.window });
    this.#ring = ring;
    this.#packetBytes = packetBytes;
    this.#payloadAt = payloadAt;
    this.#pubrels = load.qos === 2 ? pubrelRing(load.window) : undefined;
    this.#sentAt = new Float64Array(load.window);
    this.#quarter = Math.max(1, Math.floor(load.window / 4));
    this.#free = load.window;
  }

  get inFlight() {
    return this.#load.window - this.#free;
  }

  /** Scheduled and not sent, for want of a slot. */
  get waiting() {
    return this.#due.length;
  }

  connect(port, host) {
    return new Promise((resolve, reject) => {
      this.#connected = resolve;
      const socket = net.connect({ port, host, noDelay: true });
      this.#socket = socket;
      socket.on('connect', () => socket.write(connectPacket(publisherName(this.#number))));
      socket.on('data', (chunk) => this.#read(chunk));
      socket.on('error', reject);
      socket.on('close', () => {
        reject(new Error('closed before CONNACK'));
        if (!this.#ending) this.#hooks.onFault(`${publisherName(this.#number)}: the broker closed the connection`);
      });
    });
  }

  /** Closed loop: fills the window, and again whenever a quarter of it is acknowledged. */
  fill() {
    this.#closedLoop = true;
    this.#send(this.#free);
  }

  /** Open loop: `times` are when the next messages were to be sent; latency counts from there, also for those that wait. */
  schedule(times) {
    for (const time of times) this.#due.push(time);
    this.#sendDue();
  }

  /** Sends nothing more; what is in flight is still acknowledged. */
  stop() {
    this.#closedLoop = false;
    this.#due.length = 0;
  }

  disconnect() {
    this.#ending = true;
    this.#socket.end(DISCONNECT);
  }

  #send(count) {
    const now = monotonicMs();
    for (let index = 0; index < count; index += 1) this.#stamp((this.#next + index) % this.#load.window, now);
    this.#write(count);
  }

  #sendDue() {
    const count = Math.min(this.#free, this.#due.length);
    if (count === 0) return;
    for (let index = 0; index < count; index += 1)
      this.#stamp((this.#next + index) % this.#load.window, this.#due[index]);
    this.#due.splice(0, count);
    this.#write(count);
  }

  #stamp(slot, time) {
    restamp(this.#ring, slot * this.#packetBytes + this.#payloadAt, this.published, time);
    this.#sentAt[slot] = time;
    this.published += 1;
  }

  /** The packets may be rewritten once they are acknowledged, for then the kernel has long had them. */
  #write(count) {
    const { window, qos } = this.#load;
    const from = this.#next;
    const wrapped = from + count - window;
    this.#next = (from + count) % window;
    this.#free -= count;
    const parts = qos === 0 || wrapped > 0;
    if (parts) this.#socket.cork();
    this.#socket.write(this.#slots(from, wrapped > 0 ? window : from + count));
    if (wrapped > 0) this.#socket.write(this.#slots(0, wrapped));
    if (qos === 0) {
      this.#socket.write(PINGREQ);
      this.#refills.push(count);
    }
    if (parts) this.#socket.uncork();
  }

  #slots(from, to) {
    return this.#ring.subarray(from * this.#packetBytes, to * this.#packetBytes);
  }

  #read(chunk) {
    this.#readAt = monotonicMs();
    this.#pubrecs = 0;
    this.#chunkAcks = 0;
    try {
      this.#acks.read(chunk);
    } catch (error) {
      this.#hooks.onFault(`${publisherName(this.#number)}: ${error.message}`);
      this.disconnect();
      return;
    }
    if (this.#pubrecs > 0) this.#release();
    if (this.#chunkAcks > 0) this.#hooks.onAcknowledged(this.#chunkAcks);
    if (this.#closedLoop && this.#free >= this.#quarter) this.#send(this.#free);
    else if (this.#due.length > 0) this.#sendDue();
  }

  #packet(type, id) {
    const { qos } = this.#load;
    if (type === PUBACK && qos === 1) {
      this.#expect(id, this.#oldest);
      this.#acknowledge();
      this.#free += 1;
    } else if (type === PUBREC && qos === 2) {
      this.#expect(id, this.#oldest);
      this.#acknowledge();
      this.#pubrecs += 1;
    } else if (type === PUBCOMP && qos === 2) {
      this.#expect(id, this.#completed);
      this.#completed = (this.#completed + 1) % this.#load.window;
      this.#free += 1;
    } else if (type === PINGRESP && qos === 0) {
      const count = this.#refills.shift() ?? 0;
      for (let index = 0; index < count; index += 1) this.#acknowledge();
      this.#free += count;
    } else if (type === CONNACK) {
      if ((id & 0xff) !== 0) throw new Error(`CONNACK with return code ${id & 0xff}`);
      this.#connected();
    } else {
      throw new Error(`unexpected packet 0x${type.toString(16)}`);
    }
  }

  #expect(id, slot) {
    if (id !== slot + 1) throw new Error(`acknowledgement of ${id} where ${slot + 1} comes next [MQTT-4.6.0-2]`);
  }

  #acknowledge() {
    this.#hooks.latency.record(this.#readAt - this.#sentAt[this.#oldest]);
    this.#oldest = (this.#oldest + 1) % this.#load.window;
    this.acknowledged += 1;
    this.#chunkAcks += 1;
  }

  /** A PUBREL for each PUBREC of this chunk: the last `#pubrecs` acknowledged slots. */
  #release() {
    const { window } = this.#load;
    const from = (this.#oldest - this.#pubrecs + window) % window;
    const wrapped = from + this.#pubrecs - window;
    if (wrapped > 0) {
      this.#socket.cork();
      this.#socket.write(this.#pubrels.subarray(from * 4));
      this.#socket.write(this.#pubrels.subarray(0, wrapped * 4));
      this.#socket.uncork();
    } else {
      this.#socket.write(this.#pubrels.subarray(from * 4, (from + this.#pubrecs) * 4));
    }
  }
}
