// @ts-check
/** A device of mqtt.js, the client that most programs use: it speaks TLS and WebSocket too, and decides itself what it resends. */
import mqtt from 'mqtt';
import { makePayload } from './payload.mjs';

/** @typedef {import('./fleet.mjs').FleetOptions} FleetOptions */
/** @typedef {import('./fleet.mjs').Control} Control */

export class MqttJsDevice {
  attempted = 0;
  /** @type {number[]} */
  acknowledged = [];
  inFlight = 0;
  allowed = 0;
  reconnects = 0;
  lastAckAt = 0;
  /** @type {number[]} */
  latencies = [];
  // mqtt.js does not tell of these.
  resent = 0;
  acksOutOfOrder = 0;
  sessionsLost = 0;
  /** @type {Record<string, number>} */
  refused = {};
  /** @type {Record<string, number>} */
  disconnects = {};

  /** @param {FleetOptions} options @param {Control} control @param {number} index */
  constructor(options, control, index) {
    this.options = options;
    this.control = control;
    this.name = `${options.prefix}${index}`;
    const topics = [options.topic].flat();
    this.topic = (topics[index % topics.length] ?? '').replaceAll('{device}', this.name);
    /** @type {1 | 2} */
    this.qos = typeof options.qos === 'number' ? options.qos : (options.qos[index % options.qos.length] ?? 1);
    const protocolVersion = options.protocolVersion === 'both' ? (index % 4 < 2 ? 4 : 5) : options.protocolVersion;
    this.client = mqtt.connect(options.urls[index % options.urls.length] ?? '', {
      clientId: this.name,
      clean: false,
      protocolVersion,
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
      reconnectPeriod: 100 + Math.floor(Math.random() * 200),
      connectTimeout: 5_000,
      keepalive: 30,
      // Our own window bounds what is queued.
      queueQoSZero: false,
      ...(options.tls ?? {}),
    });
    this.client.on('connect', () => this.pump());
    this.client.on('close', () => this.reconnects++);
    this.client.on('error', () => {});
  }

  get online() {
    return this.client.connected;
  }

  get done() {
    return this.inFlight === 0 && (this.control.stopping || this.attempted >= (this.options.messages ?? Infinity));
  }

  /** mqtt.js has timers of its own. */
  tick() {}

  pump() {
    const { messages, window, bytes } = this.options;
    const { stopping, perSecond } = this.control;
    while (
      !stopping &&
      this.client.connected &&
      this.inFlight < window &&
      this.attempted < (messages ?? Infinity) &&
      (perSecond === undefined || this.allowed >= 1)
    ) {
      if (perSecond !== undefined) this.allowed--;
      const sequence = this.attempted++;
      this.inFlight++;
      const started = performance.now();
      this.client.publish(this.topic, makePayload(this.name, sequence, bytes), { qos: this.qos }, (error) => {
        this.inFlight--;
        if (error === undefined || error === null) {
          this.acknowledged.push(sequence);
          this.lastAckAt = Date.now();
          this.latencies.push(performance.now() - started);
        }
        this.pump();
      });
    }
  }
}
