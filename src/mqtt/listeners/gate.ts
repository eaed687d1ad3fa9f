/** Counts the connections of all listeners together, and turns away those beyond the limit. */
import type { Socket } from 'node:net';

export class ConnectionGate {
  readonly max: number;
  /** Sockets that are open now, whatever they have got to. */
  open = 0;
  /** Turned away since the start. */
  turnedAway = 0;
  /** Bytes of connections that are closed. */
  #receivedBytes = 0;
  #sentBytes = 0;
  #closed = false;
  readonly #sockets = new Set<Socket>();

  constructor(max: number) {
    this.max = max;
  }

  /** false: the socket is destroyed. Nothing is written to it: what protocol it speaks is not known yet. */
  admit(socket: Socket): boolean {
    if (this.#closed || this.open >= this.max) {
      this.turnedAway++;
      socket.destroy();
      return false;
    }
    this.open++;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.open--;
      this.#receivedBytes += socket.bytesRead;
      this.#sentBytes += socket.bytesWritten;
      this.#sockets.delete(socket);
    });
    return true;
  }

  /** Bytes on the wire since the start, TLS and WebSocket included. The sockets count: nothing is added on the way of a message. */
  traffic(): { receivedBytes: number; sentBytes: number } {
    const sum = { receivedBytes: this.#receivedBytes, sentBytes: this.#sentBytes };
    for (const socket of this.#sockets) {
      sum.receivedBytes += socket.bytesRead;
      sum.sentBytes += socket.bytesWritten;
    }
    return sum;
  }

  /** Ends what is left, half-open handshakes included. */
  destroyAll(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}
