import { decodeFrame } from '../../../src/buffer/frame.ts';
import type { AppendOutcome, AppendRequest, BufferStore, ShardState } from '../../../src/buffer/store.ts';
import { SluiceError } from '../../../src/errors.ts';
import type { Message } from '../../../src/message.ts';

type Mode = 'ok' | 'hang' | 'full' | 'fail';

/** One shard in memory that commits, or does not, as the test says. */
export class ScriptedStore {
  readonly kind = 'memory';
  readonly shards = 1;
  readonly maxBytes = 2 ** 30;
  /** What was committed, in the order of the log. */
  readonly log: Message[] = [];
  readonly qos2 = new Set<string>();
  appends = 0;
  /** Keeps the log; a run of hours turns it off. */
  keeps = true;
  #head = 0;
  #mode: Mode = 'ok';
  #hanging: (() => void)[] = [];

  get mode(): Mode {
    return this.#mode;
  }

  /** From 'hang' to 'ok' what hangs is committed. */
  set mode(mode: Mode) {
    this.#mode = mode;
    if (mode !== 'ok') return;
    for (const answer of this.#hanging.splice(0)) answer();
  }

  get head(): number {
    return this.#head;
  }

  async append(request: AppendRequest): Promise<AppendOutcome> {
    this.appends++;
    switch (this.#mode) {
      case 'full':
        return { kind: 'full' };
      case 'fail':
        throw new SluiceError('STORE_UNAVAILABLE', 'scripted');
      case 'hang':
        await new Promise<void>((resolve) => this.#hanging.push(resolve));
        return this.#commit(request);
      case 'ok':
        return this.#commit(request);
    }
  }

  async reopen(shard: number): Promise<ShardState> {
    if (this.#mode === 'fail') throw new SluiceError('STORE_UNAVAILABLE', 'scripted');
    return { shard, epochs: [{ logId: 'AAAAAAAAAAA', from: 1 }], head: this.head };
  }

  payloads(topic?: string): string[] {
    return this.log.filter((one) => topic === undefined || one.topic === topic).map((one) => one.payload.toString());
  }

  asStore(): BufferStore {
    return this as unknown as BufferStore;
  }

  #commit(request: AppendRequest): AppendOutcome {
    const key = (id: { clientId: string; packetId: number | string }): string => `${id.clientId} ${id.packetId}`;
    for (const clientId of request.qos2Clear) {
      for (const id of this.qos2) if (id.startsWith(`${clientId} `)) this.qos2.delete(id);
    }
    const indexes = request.qos2Add.flatMap((id, index) => (this.qos2.has(key(id)) ? [index] : []));
    if (indexes.length > 0) return { kind: 'duplicate', indexes };
    for (const id of request.qos2Add) this.qos2.add(key(id));
    for (const id of request.qos2Remove) this.qos2.delete(key(id));
    const base = this.#head + 1;
    this.#head += request.count;
    if (request.frame !== undefined && this.keeps) this.log.push(...decodeFrame(request.frame).messages);
    return { kind: 'committed', base: request.count === 0 ? 0 : base, bytes: 0 };
  }
}
