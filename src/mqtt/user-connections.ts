/** How many clients each user has connected. Connections of one client id count once: a device that comes back is not in its own way. */
import type { Duplex } from 'node:stream';

export class UserConnections {
  /** 0: no limit. */
  max: number;
  /** user -> client id -> connections. */
  readonly #users = new Map<string, Map<string, number>>();

  constructor(max: number) {
    this.max = max;
  }

  /** false: there is no room. Else it counts until the stream is closed. */
  enter(user: string, clientId: string, stream: Duplex): boolean {
    const clients = this.#users.get(user) ?? new Map<string, number>();
    if (this.max > 0 && clients.size >= this.max && !clients.has(clientId)) return false;
    this.#users.set(user, clients);
    clients.set(clientId, (clients.get(clientId) ?? 0) + 1);
    const leave = (): void => {
      const left = (clients.get(clientId) ?? 1) - 1;
      if (left > 0) clients.set(clientId, left);
      else clients.delete(clientId);
      if (clients.size === 0 && this.#users.get(user) === clients) this.#users.delete(user);
    };
    if (stream.destroyed) leave();
    else stream.once('close', leave);
    return true;
  }
}
