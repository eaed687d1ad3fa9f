/** Counts the connections of all listeners together, and turns away those beyond the limit. */
import type { Socket } from 'node:net';

export class ConnectionGate {
  readonly max: number;
  /** Sockets that are open now, whatever they have got to. */
  open = 0;
  /** Turned away since the start. */
  turnedAway = 0;
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
      this.#sockets.delete(socket);
    });
    return true;
  }

  /** Ends what is left, half-open handshakes included. */
  destroyAll(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}
