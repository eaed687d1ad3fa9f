/** The Fetch API of Kafka (version 4, the oldest that Kafka 4 answers) over one plain connection. */
import net from 'node:net';

const API_FETCH = 1;
const API_VERSION = 4;
const MAX_WAIT_MS = 250;
const MAX_BYTES = 16 * 1024 * 1024;
const PARTITION_MAX_BYTES = 2 * 1024 * 1024;

/** @param {string} topic @param {Map<number, bigint>} offsets partition to the offset wanted next */
export function fetchRequest(correlationId, topic, offsets) {
  const name = Buffer.from(topic);
  const client = Buffer.from('sluice-bench');
  const buffer = Buffer.alloc(4 + 8 + 2 + client.length + 17 + 4 + 2 + name.length + 4 + offsets.size * 16);
  let at = buffer.writeInt32BE(buffer.length - 4, 0);
  at = buffer.writeInt16BE(API_FETCH, at);
  at = buffer.writeInt16BE(API_VERSION, at);
  at = buffer.writeInt32BE(correlationId, at);
  at = buffer.writeInt16BE(client.length, at);
  at += client.copy(buffer, at);
  at = buffer.writeInt32BE(-1, at); // replica: a consumer
  at = buffer.writeInt32BE(MAX_WAIT_MS, at);
  at = buffer.writeInt32BE(1, at); // min bytes
  at = buffer.writeInt32BE(MAX_BYTES, at);
  at = buffer.writeInt8(0, at); // isolation: read uncommitted
  at = buffer.writeInt32BE(1, at); // topics
  at = buffer.writeInt16BE(name.length, at);
  at += name.copy(buffer, at);
  at = buffer.writeInt32BE(offsets.size, at);
  for (const [partition, offset] of offsets) {
    at = buffer.writeInt32BE(partition, at);
    at = buffer.writeBigInt64BE(offset, at);
    at = buffer.writeInt32BE(PARTITION_MAX_BYTES, at);
  }
  return buffer;
}

/** @param {Buffer} response without its length @param {(partition: number, records: Buffer) => void} onRecords */
export function readFetchResponse(response, onRecords) {
  let at = 4 + 4; // correlation id, throttle time
  let topics = response.readInt32BE(at);
  at += 4;
  for (; topics > 0; topics -= 1) {
    at += 2 + response.readInt16BE(at);
    let partitions = response.readInt32BE(at);
    at += 4;
    for (; partitions > 0; partitions -= 1) {
      const partition = response.readInt32BE(at);
      const errorCode = response.readInt16BE(at + 4);
      if (errorCode !== 0) throw new Error(`fetch of partition ${partition}: Kafka error ${errorCode}`);
      at += 6 + 16; // high watermark and last stable offset
      const aborted = response.readInt32BE(at);
      at += 4 + Math.max(0, aborted) * 16;
      const bytes = Math.max(0, response.readInt32BE(at));
      at += 4;
      if (bytes > 0) onRecords(partition, response.subarray(at, at + bytes));
      at += bytes;
    }
  }
}

/** One request at a time over a connection of its own. */
export class FetchConnection {
  #socket;
  #buffer = Buffer.allocUnsafe(4);
  #filled = 0;
  #headed = false;
  #answered;
  #failed;

  static async open(host, port) {
    const connection = new FetchConnection();
    const socket = net.connect({ host, port, noDelay: true });
    connection.#socket = socket;
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const fail = (error) => connection.#failed?.(error ?? new Error('Kafka closed the connection'));
    socket.on('error', fail);
    socket.on('close', () => fail());
    socket.on('data', (chunk) => connection.#take(chunk));
    return connection;
  }

  /** @param {Buffer} request @returns {Promise<Buffer>} */
  exchange(request) {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.write(request);
    });
  }

  close() {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  /** Copies into a buffer of the size that the first four bytes announce. */
  #take(chunk) {
    let at = 0;
    while (at < chunk.length) {
      const copied = chunk.copy(this.#buffer, this.#filled, at);
      at += copied;
      this.#filled += copied;
      if (this.#filled < this.#buffer.length) return;
      const whole = this.#buffer;
      this.#filled = 0;
      this.#headed = !this.#headed;
      this.#buffer = Buffer.allocUnsafe(this.#headed ? whole.readInt32BE(0) : 4);
      if (!this.#headed) this.#answered(whole);
    }
  }
}
