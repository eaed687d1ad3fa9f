// @ts-check
/**
 * Clients with a user name and a password, in a process of their own. `device`: one that is right, stays, publishes, and measures its
 * acknowledgements. `guesser`: as many as it is told per second that are wrong, each over a connection of its own. Steered over IPC by
 * guessing.ts.
 */
import net from 'node:net';
import * as packets from '../faults/packets.mjs';

/**
 * @typedef {object} LoginOptions
 * @property {'device' | 'guesser'} kind
 * @property {number} port
 * @property {string} user
 * @property {string} password
 * @property {string} topic of the device
 * @property {number} perSecond
 */

const TICK_MS = 20;
/** A device that could not log in tries again. */
const AGAIN_MS = 500;
/** Connections that a guesser has open at most: a server that answers slowly is not to end this process. */
const OPEN_MAX = 5_000;
const CONNACK_REFUSED = 4;

let attempted = 0;
/** CONNACK with "bad user name or password". */
let refused = 0;
/** Closed without an answer: nobody could judge it, or there was no room. */
let closed = 0;
/** Let in: that must not be. */
let admitted = 0;
let acknowledged = 0;
let lostConnections = 0;
let open = 0;
/** @type {number[]} */
let latencies = [];

/** @param {string} text */
function field(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
}

/** MQTT 3.1.1, clean session. @param {string} clientId @param {string} user @param {string} password */
function connect(clientId, user, password) {
  const body = Buffer.concat([field('MQTT'), Buffer.of(4, 0xc2, 0, 0), field(clientId), field(user), field(password)]);
  if (body.length > 127) throw new Error('too long for one byte of length');
  return Buffer.concat([Buffer.of(0x10, body.length), body]);
}

/** @param {LoginOptions} options */
function guess({ port, user, password }) {
  const number = attempted++;
  open++;
  let answered = false;
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('connect', () => socket.write(connect(`guesser-${number}`, user, `${password}-${number}`)));
  socket.on('data', (chunk) => {
    answered = true;
    if (chunk[3] === 0) admitted++;
    else if (chunk[3] === CONNACK_REFUSED) refused++;
    else closed++;
    socket.destroy();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    open--;
    if (!answered) closed++;
  });
}

/** @param {LoginOptions} options */
function publish(options) {
  const { port, user, password, topic, perSecond } = options;
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  const reader = new packets.PacketReader();
  /** @type {Map<number, number>} */
  const since = new Map();
  let packetId = 0;
  let allowed = 0;
  let last = performance.now();
  const tick = () => {
    const now = performance.now();
    allowed = Math.min(perSecond, allowed + (perSecond * (now - last)) / 1000);
    last = now;
    for (; allowed >= 1; allowed--) {
      packetId = (packetId % 65_535) + 1;
      since.set(packetId, performance.now());
      attempted++;
      socket.write(packets.publish({ topic, packetId, qos: 1, dup: false, version: 4, payload: String(attempted) }));
    }
  };
  socket.on('connect', () => socket.write(connect('device', user, password)));
  socket.on('data', (chunk) => {
    for (const { type, body } of reader.read(chunk)) {
      if (type === packets.Type.connack && body[1] === 0) {
        admitted++;
        setInterval(tick, TICK_MS);
      } else if (type === packets.Type.puback) {
        const { packetId: id } = packets.readAck(body);
        latencies.push(performance.now() - (since.get(id) ?? 0));
        since.delete(id);
        acknowledged++;
      }
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (admitted > 0) lostConnections++;
    else setTimeout(() => publish(options), AGAIN_MS);
  });
}

/** @param {LoginOptions} options */
function start(options) {
  if (options.kind === 'device') return publish(options);
  let allowed = 0;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    allowed = Math.min(options.perSecond, allowed + (options.perSecond * (now - last)) / 1000);
    last = now;
    for (; allowed >= 1 && open < OPEN_MAX; allowed--) guess(options);
  }, TICK_MS);
}

/** Since it was asked last. */
function latency() {
  const sorted = Float64Array.from(latencies).sort();
  latencies = [];
  const at = (/** @type {number} */ share) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

process.on('message', (/** @type {{ do: string, options: LoginOptions }} */ message) => {
  if (message.do === 'start') start(message.options);
  else
    process.send?.({ attempted, refused, closed, admitted, acknowledged, lostConnections, open, latency: latency() });
});
process.on('disconnect', () => process.exit());
