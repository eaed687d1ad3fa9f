/**
 * The messages of one client id on their way to the subscribers, one after another: order among subscribers follows the order of
 * acknowledgements [MQTT-4.6.0-6], also where the client is back over another connection before all that came over the one
 * before has been delivered.
 */
import type { Done, PublishPacket } from '../patches/internals.ts';

/** The session store answers or fails within half of it: a message that is under way for longer has been lost by a fault of ours. */
const STUCK_MS = 10_000;

export interface Publishing {
  /** Calls back once it is with the subscribers and in the queues. */
  publish(packet: PublishPacket, done: (error?: Error | null) => void): void;
  /** It is; `done` is what came with it. */
  passed(done: Done, error: Error | null | undefined): void;
}

interface Passing {
  readonly by: Publishing;
  readonly packet: PublishPacket;
  readonly done: Done;
}

export class Lane {
  readonly #passing: Passing[] = [];
  readonly #idle: () => void;
  #inLoop = false;
  #finishedInLoop = false;
  /** Something of it is under way. */
  busy = false;
  #sinceMs = 0;
  /** Connections that something may still come over. */
  users = 0;

  constructor(idle: () => void) {
    this.#idle = idle;
  }

  /** Nothing will come of what is under way, nor of what waits behind it. */
  get stuck(): boolean {
    return this.busy && performance.now() - this.#sinceMs > STUCK_MS;
  }

  deliver(by: Publishing, packet: PublishPacket, done: Done): void {
    this.#passing.push({ by, packet, done });
    if (this.busy) return;
    this.busy = true;
    this.#next();
  }

  #next(): void {
    this.#inLoop = true;
    do {
      this.#finishedInLoop = false;
      const passing = this.#passing[0];
      if (passing === undefined) {
        this.busy = false;
        this.#idle();
        break;
      }
      this.#sinceMs = performance.now();
      passing.by.publish(passing.packet, this.#published);
    } while (this.#finishedInLoop);
    this.#inLoop = false;
  }

  readonly #published = (error?: Error | null): void => {
    const passing = this.#passing.shift();
    passing?.by.passed(passing.done, error);
    if (this.#inLoop) this.#finishedInLoop = true;
    else this.#next();
  };
}

/** One for each client id that is connected, or was and is not done. */
export class Lanes {
  readonly #byClient = new Map<string, Lane>();

  get size(): number {
    return this.#byClient.size;
  }

  enter(clientId: string): Lane {
    let lane = this.#byClient.get(clientId);
    if (lane === undefined || lane.stuck) {
      const made = new Lane(() => this.#drop(clientId, made));
      lane = made;
      this.#byClient.set(clientId, made);
    }
    lane.users++;
    return lane;
  }

  leave(clientId: string, lane: Lane): void {
    lane.users--;
    this.#drop(clientId, lane);
  }

  #drop(clientId: string, lane: Lane): void {
    if (lane.users === 0 && !lane.busy && this.#byClient.get(clientId) === lane) this.#byClient.delete(clientId);
  }
}
