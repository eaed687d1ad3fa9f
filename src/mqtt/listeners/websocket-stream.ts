/**
 * A WebSocket as the stream of bytes that MQTT wants (MQTT 5.0 §6). Of its own, since `createWebSocketStream` of ws makes one
 * frame of each write, of which mqtt-packet makes several for one packet: here what is written in one turn is one frame.
 */
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

const CLOSE_TIMEOUT_MS = 1_000;

export class WebSocketStream extends Duplex {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) {
        // [MQTT-6.0.0-1]; 1003: a kind of data that the endpoint does not take.
        socket.close(1003, 'MQTT needs binary frames');
        this.destroy(new Error('a text frame'));
      } else if (!this.push(data)) {
        socket.pause();
      }
    });
    socket.once('error', (error) => this.destroy(error));
    socket.once('close', () => {
      this.push(null);
      this.destroy();
    });
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.close(1000);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    // A close frame that is under way gets a moment; ws itself would wait 30 s for the answer.
    if (socket.readyState === socket.CLOSING) setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref();
    else socket.terminate();
    done(error);
  }

  #send(data: Buffer, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState === this.#socket.OPEN)
      this.#socket.send(data, { binary: true }, (error) => done(error));
    else done(new Error('the WebSocket is closed'));
  }
}
