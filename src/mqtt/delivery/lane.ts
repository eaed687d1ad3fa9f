/**
 * The messages of one client id on their way to the subscribers, one after another: order among subscribers follows the order of
 * acknowledgements [MQTT-4.6.0-6], also where the client is back over another connection before all that came over the one
 * before has been delivered.
 */
import type { Done, PublishPacket } from '../patches/internals.ts';

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
  #published = this.#answer();
  #inLoop = false;
  #finishedInLoop = false;
  /** Something of it is under way. */
  busy = false;
  /** Connections that something may still come over. */
  users = 0;

  constructor(idle: () => void) {
    this.#idle = idle;
  }

  /** What is under way. */
  get head(): object | undefined {
    return this.#passing[0];
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
      passing.by.publish(passing.packet, this.#published);
    } while (this.#finishedInLoop);
    this.#inLoop = false;
  }

  /** It will not call back: goes on with what waits behind it. */
  giveUp(head: object): void {
    if (this.head !== head) return;
    this.#published = this.#answer();
    this.#published(new Error('lost by a fault of the broker'));
  }

  #answer(): (error?: Error | null) => void {
    const published = (error?: Error | null): void => {
      // After `giveUp` it is too late.
      if (published !== this.#published) return;
      const passing = this.#passing.shift();
      passing?.by.passed(passing.done, error);
      if (this.#inLoop) this.#finishedInLoop = true;
      else this.#next();
    };
    return published;
  }
}

/** One for each client id that is connected, or was and is not done. */
export class Lanes {
  readonly #byClient = new Map<string, Lane>();

  get size(): number {
    return this.#byClient.size;
  }

  enter(clientId: string): Lane {
    let lane = this.#byClient.get(clientId);
    if (lane === undefined) {
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

  /** After a fault that nobody caught: what is under way now may have been lost by it. The function returned gives up what still is. */
  suspect(): () => void {
    const heads = [...this.#byClient.values()].map((lane) => ({ lane, head: lane.head }));
    return () => {
      for (const { lane, head } of heads) if (head !== undefined) lane.giveUp(head);
    };
  }

  #drop(clientId: string, lane: Lane): void {
    if (lane.users === 0 && !lane.busy) this.#byClient.delete(clientId);
  }
}
