// @ts-check
/**
 * A fleet of devices, in a process of its own: each keeps a persistent session, publishes in order with a window of
 * unacknowledged messages, reconnects with backoff and resends what was not acknowledged with the same packet id and DUP.
 * Two kinds: those of mqtt.js, which speak every transport, and those of device.mjs on a bare socket. Steered over IPC by
 * fleet.ts.
 */
import { Device } from './device.mjs';
import { MqttJsDevice } from './mqttjs-device.mjs';

/**
 * @typedef {object} FleetOptions
 * @property {'mqtt.js' | 'socket'} client
 * @property {string[]} urls
 * @property {number} devices
 * @property {string} prefix of the client ids
 * @property {string | string[]} topic with {device}; a list is dealt out to the devices in turn
 * @property {1 | 2 | (1 | 2)[]} qos a list is dealt out to the devices in turn
 * @property {number} [messages] each device publishes; without it, until told to stop
 * @property {number} [perSecond] of the whole fleet; without it, as fast as the window allows
 * @property {number} window
 * @property {number} bytes
 * @property {4 | 5 | 'both'} protocolVersion
 * @property {{ every: number, bytes: number }} [oversized] every n-th message of a device is that long
 * @property {{ ca: string, cert?: string, key?: string }} [tls] PEM texts
 */

/**
 * What can change while devices run.
 * @typedef {object} Control
 * @property {boolean} stopping nothing new is published
 * @property {number | undefined} perSecond
 */

const TICK_MS = 20;

/** @type {(Device | MqttJsDevice)[]} */
let devices = [];
/** @type {Control} */
const control = { stopping: false, perSecond: undefined };

/** @param {FleetOptions} options */
function start(options) {
  control.perSecond = options.perSecond;
  const Kind = options.client === 'socket' ? Device : MqttJsDevice;
  devices = Array.from({ length: options.devices }, (_, index) => new Kind(options, control, index));
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    const share = ((control.perSecond ?? 0) / options.devices) * ((now - last) / 1000);
    last = now;
    for (const device of devices) {
      // A device that was offline does not catch up with what it would have sent.
      device.allowed = Math.min(device.allowed + share, options.window);
      device.tick();
      if (control.perSecond !== undefined) device.pump();
    }
  }, TICK_MS);
}

/** @param {(device: Device | MqttJsDevice) => number} of */
const sum = (of) => devices.reduce((total, device) => total + of(device), 0);

/** @param {(device: Device | MqttJsDevice) => Record<string, number>} of */
function sumByCode(of) {
  /** @type {Record<string, number>} */
  const total = {};
  for (const device of devices) {
    for (const [code, count] of Object.entries(of(device))) total[code] = (total[code] ?? 0) + count;
  }
  return total;
}

/** @type {number[]} since latency was asked for last */
const windowLatencies = [];

/** @param {number[]} latencies */
function percentiles(latencies) {
  const sorted = Float64Array.from(latencies).sort();
  const at = (/** @type {number} */ share) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

function counts() {
  const latencies = devices.flatMap((device) => device.latencies.splice(0));
  for (const latency of latencies) windowLatencies.push(latency);
  return {
    attempted: sum((device) => device.attempted),
    acknowledged: sum((device) => device.acknowledged.length),
    connected: devices.filter((device) => device.online).length,
    reconnects: sum((device) => device.reconnects),
    resent: sum((device) => device.resent),
    acksOutOfOrder: sum((device) => device.acksOutOfOrder),
    sessionsLost: sum((device) => device.sessionsLost),
    refused: sumByCode((device) => device.refused),
    disconnects: sumByCode((device) => device.disconnects),
    done: devices.every((device) => device.done),
    lastAckAt: devices.reduce((latest, device) => Math.max(latest, device.lastAckAt), 0),
    /** Since the last time it was asked. */
    latency: percentiles(latencies),
  };
}

process.on('message', (/** @type {{ id: number, do: string, options: any }} */ message) => {
  const answer = (/** @type {unknown} */ value) => process.send?.({ id: message.id, value });
  switch (message.do) {
    case 'start':
      start(message.options);
      return answer(undefined);
    case 'counts':
      return answer(counts());
    case 'latency':
      return answer(percentiles(windowLatencies.splice(0)));
    case 'rate':
      control.perSecond = message.options;
      for (const device of devices) device.pump();
      return answer(undefined);
    case 'finish':
      // Publishes nothing new; what is in flight goes on until it is acknowledged.
      control.stopping = true;
      return answer(undefined);
    case 'logs':
      return answer(
        devices.map(({ name, attempted, acknowledged, qos }) => ({ device: name, attempted, acknowledged, qos })),
      );
    default:
      return answer(undefined);
  }
});
process.on('disconnect', () => process.exit());
