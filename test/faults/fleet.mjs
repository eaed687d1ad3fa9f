// @ts-check
/**
 * A fleet of devices, in a process of its own: each keeps a persistent session, publishes in order with a window of
 * unacknowledged messages, reconnects with backoff and resends what was not acknowledged with the same packet id and DUP.
 * Steered over IPC by fleet.ts.
 */
import mqtt from 'mqtt';
import { makePayload } from './payload.mjs';

/**
 * @typedef {object} FleetOptions
 * @property {string[]} urls
 * @property {number} devices
 * @property {string} prefix of the client ids
 * @property {string} topic with {device}
 * @property {1 | 2} qos
 * @property {number} [messages] each device publishes; without it, until told to stop
 * @property {number} [perSecond] of the whole fleet; without it, as fast as the window allows
 * @property {number} window
 * @property {number} bytes
 * @property {4 | 5} protocolVersion
 * @property {{ ca: string, cert?: string, key?: string }} [tls] PEM texts
 */

/** @type {Device[]} */
let devices = [];
let stopping = false;

class Device {
  attempted = 0;
  /** @type {number[]} */
  acknowledged = [];
  inFlight = 0;
  allowed = 0;
  reconnects = 0;
  /** @type {number[]} */
  latencies = [];

  /** @param {FleetOptions} options @param {number} index */
  constructor(options, index) {
    this.options = options;
    this.name = `${options.prefix}${index}`;
    this.topic = options.topic.replaceAll('{device}', this.name);
    this.client = mqtt.connect(options.urls[index % options.urls.length] ?? '', {
      clientId: this.name,
      clean: false,
      protocolVersion: options.protocolVersion,
      ...(options.protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
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

  pump() {
    const { messages, perSecond, window, qos, bytes } = this.options;
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
      this.client.publish(this.topic, makePayload(this.name, sequence, bytes), { qos }, (error) => {
        this.inFlight--;
        if (error === undefined || error === null) {
          this.acknowledged.push(sequence);
          this.latencies.push(performance.now() - started);
        }
        this.pump();
      });
    }
  }

  get done() {
    return this.inFlight === 0 && (stopping || this.attempted >= (this.options.messages ?? Infinity));
  }
}

/** @param {FleetOptions} options */
function start(options) {
  devices = Array.from({ length: options.devices }, (_, index) => new Device(options, index));
  if (options.perSecond !== undefined) {
    const perDevice = options.perSecond / options.devices;
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      for (const device of devices) {
        // A device that was offline does not catch up with what it would have sent.
        device.allowed = Math.min(device.allowed + (perDevice * (now - last)) / 1000, options.window);
        device.pump();
      }
      last = now;
    }, 20);
  }
}

function counts() {
  const latencies = devices.flatMap((device) => device.latencies.splice(0)).sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => latencies[Math.floor((latencies.length - 1) * share)] ?? 0;
  return {
    attempted: devices.reduce((sum, device) => sum + device.attempted, 0),
    acknowledged: devices.reduce((sum, device) => sum + device.acknowledged.length, 0),
    connected: devices.filter((device) => device.client.connected).length,
    reconnects: devices.reduce((sum, device) => sum + device.reconnects, 0),
    done: devices.every((device) => device.done),
    /** Since the last time it was asked. */
    latency: { count: latencies.length, p50: at(0.5), p99: at(0.99), max: at(1) },
  };
}

process.on('message', (/** @type {{ id: number, do: string, options: FleetOptions }} */ message) => {
  const answer = (/** @type {unknown} */ value) => process.send?.({ id: message.id, value });
  switch (message.do) {
    case 'start':
      start(message.options);
      return answer(undefined);
    case 'counts':
      return answer(counts());
    case 'finish':
      // Publishes nothing new; what is in flight goes on until it is acknowledged.
      stopping = true;
      return answer(undefined);
    case 'logs':
      return answer(devices.map(({ name, attempted, acknowledged }) => ({ device: name, attempted, acknowledged })));
    default:
      return answer(undefined);
  }
});
process.on('disconnect', () => process.exit());
