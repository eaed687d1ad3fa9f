// @ts-check
/** Devices as there are some in every fleet: they are to be seen in the dashboard, and to disturb nobody. */
import net from 'node:net';
import mqtt from 'mqtt';

const FLAP_MS = 1_500;
const NONSENSE_MS = 2_500;
const GARBAGE_MS = 4_000;

/**
 * Starts them; gives what ends them.
 * @param {number} port
 */
export function startMisbehaving(port) {
  const timers = [
    setInterval(() => flap(port), FLAP_MS),
    setInterval(() => sendGarbage(port), GARBAGE_MS),
    setInterval(() => sendNonsense(), NONSENSE_MS),
  ];
  const confused = mqtt.connect(`mqtt://127.0.0.1:${port}`, { clientId: 'sensor-confused', reconnectPeriod: 300 });
  confused.on('error', () => {});
  /** What its route wants as JSON: a dead letter. */
  function sendNonsense() {
    if (confused.connected) confused.publish('devices/sensor-confused/events', '<no json>', { qos: 1 });
  }
  return () => {
    timers.forEach(clearInterval);
    confused.end(true);
  };
}

/** Its network is bad: it is gone as soon as it is there, without a DISCONNECT. @param {number} port */
function flap(port) {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { clientId: 'sensor-flapping', reconnectPeriod: 0 });
  client.on('error', () => {});
  client.on('connect', () => client.stream.destroy());
}

/** It speaks another protocol. @param {number} port */
function sendGarbage(port) {
  const socket = net.connect(port, '127.0.0.1', () => socket.end('GET / HTTP/1.1\r\n\r\n'));
  socket.on('error', () => {});
  socket.resume();
}
