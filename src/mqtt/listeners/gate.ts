/** Counts the connections of all listeners together, and of each address, and turns away those beyond the limits. */
import type { Socket } from 'node:net';

export class ConnectionGate {
  /** In all, and from one address (IPv6: from one /64 network). May change; what is open stays. */
  max: number;
  maxPerAddress: number;
  readonly #addresses = new Map<string, number>();
  /** Sockets that are open now, whatever they have got to. */
  open = 0;
  /** Turned away since the start. */
  turnedAway = 0;
  /** Bytes of connections that are closed. */
  #receivedBytes = 0;
  #sentBytes = 0;
  #closed = false;
  readonly #sockets = new Set<Socket>();

  constructor(max: number, maxPerAddress = Infinity) {
    this.max = max;
    this.maxPerAddress = maxPerAddress;
  }

  /** false: the socket is destroyed. Nothing is written to it: what protocol it speaks is not known yet. */
  admit(socket: Socket): boolean {
    const address = networkOf(socket.remoteAddress ?? '');
    const sameAddress = this.#addresses.get(address) ?? 0;
    if (this.#closed || this.open >= this.max || sameAddress >= this.maxPerAddress) {
      this.turnedAway++;
      socket.destroy();
      return false;
    }
    this.open++;
    this.#sockets.add(socket);
    this.#addresses.set(address, sameAddress + 1);
    socket.once('close', () => {
      this.open--;
      const left = (this.#addresses.get(address) ?? 1) - 1;
      if (left > 0) this.#addresses.set(address, left);
      else this.#addresses.delete(address);
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

/** An IPv6 host has a whole /64 network to come from; an IPv4 address may be written as IPv6. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1] ?? address;
  if (!address.includes(':')) return address;
  const [head = '', tail = ''] = address.split('%', 1)[0]?.split('::') ?? [];
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [front, back] = [groups(head), groups(tail)];
  const zeros = Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0');
  return `${[...front, ...zeros, ...back].slice(0, 4).join(':')}::/64`;
}
