// @ts-check
/**
 * Neighbours that do harm, in a process of their own: subscribers that never read, publishers that send and never read their
 * acknowledgements. With `deaf: false` they do the same and read: what the load alone costs. Closed ones come back. Steered over IPC by
 * neighbours.ts.
 */
import net from 'node:net';
import * as packets from '../faults/packets.mjs';

/**
 * @typedef {object} HostileOptions
 * @property {'subscriber' | 'publisher'} kind
 * @property {number} port
 * @property {number} count
 * @property {boolean} deaf
 * @property {boolean} clean of subscribers: no session is kept for them
 * @property {string} topic subscribed to, or published to
 * @property {number} bytes of a published payload
 * @property {number} [perSecond] of each publisher; without it, as fast as its socket takes it
 */

const TICK_MS = 20;
const AGAIN_MS = 500;
/** Who does not read does not see the end of a connection either, until it writes. */
const PING_MS = 500;
const CONNECT_FLAGS_AT = 9;
const CLEAN = 2;

let connected = 0;
let closed = 0;
let sent = 0;
/** Sockets that took nothing at the last look. */
let blocked = 0;

/** @param {HostileOptions} options @param {number} index */
function begin(options, index) {
  const { kind, deaf, topic, port } = options;
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  const reader = new packets.PacketReader();
  /** @type {NodeJS.Timeout | undefined} */
  let ticking;
  let isBlocked = false;
  const block = (/** @type {boolean} */ now) => {
    if (now !== isBlocked) blocked += now ? 1 : -1;
    isBlocked = now;
  };
  const hello = packets.connect({ clientId: `${kind}-${index}`, version: 4, keepAliveS: 0 });
  if (options.clean) hello[CONNECT_FLAGS_AT] = CLEAN;
  const pinging = setInterval(() => {
    if (deaf && socket.isPaused()) socket.write(packets.pingreq);
  }, PING_MS);
  socket.on('connect', () => socket.write(hello));
  socket.on('data', (chunk) => {
    for (const { type } of reader.read(chunk)) {
      if (type === packets.Type.connack) {
        connected++;
        if (kind === 'subscriber') socket.write(packets.subscribe({ filter: topic, packetId: 1, version: 4 }));
        else ticking = publishing(options, socket, block);
      }
      if (deaf && (type === packets.Type.suback || (type === packets.Type.connack && kind === 'publisher')))
        socket.pause();
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    closed++;
    block(false);
    clearInterval(ticking);
    clearInterval(pinging);
    setTimeout(() => begin(options, index), AGAIN_MS);
  });
}

/** @param {HostileOptions} options @param {net.Socket} socket @param {(now: boolean) => void} block */
function publishing({ topic, bytes, perSecond }, socket, block) {
  const payload = 'x'.repeat(bytes);
  let packetId = 0;
  const next = () => {
    packetId = (packetId % 65_535) + 1;
    sent++;
    return packets.publish({ topic, packetId, qos: 1, dup: false, version: 4, payload });
  };
  let allowed = 0;
  return setInterval(() => {
    block(socket.writableNeedDrain);
    if (socket.writableNeedDrain) return;
    allowed = perSecond === undefined ? 2_000 : allowed + (perSecond * TICK_MS) / 1000;
    const burst = [];
    for (; allowed >= 1; allowed--) burst.push(next());
    if (burst.length > 0) socket.write(Buffer.concat(burst));
  }, TICK_MS);
}

process.on('message', (/** @type {{ do: string, options: HostileOptions }} */ message) => {
  if (message.do === 'start') {
    for (let index = 0; index < message.options.count; index++) begin(message.options, index);
  } else {
    process.send?.({ connected, closed, sent, blocked });
  }
});
process.on('disconnect', () => process.exit());
