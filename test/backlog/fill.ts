/** Puts a backlog into a store, as an outage of Kafka leaves it: every device's messages in order, frames small and large, all shards. */
import { FrameWriter, stampFrame } from '../../src/buffer/frame.ts';
import { shardOf } from '../../src/buffer/shard.ts';
import type { BufferStore } from '../../src/buffer/store.ts';
import { Origin } from '../../src/message.ts';
import { makePayload } from '../faults/payload.mjs';
import type { Random } from '../support/random.ts';

export interface Backlog {
  readonly devices: number;
  /** Of each device. */
  readonly messages: number;
  readonly payloadBytes: number;
}

/** An idle sluice commits single messages, a busy one a thousand at a time. */
const FRAME_MAX_MESSAGES = 1_000;

export const deviceName = (index: number): string => `device-${index}`;

/** Opens the store, fills it, closes it. `progress` is told the messages committed so far. */
export async function fill(
  store: BufferStore,
  backlog: Backlog,
  random: Random,
  progress: (committed: number) => void = () => undefined,
): Promise<{ frames: number; bytes: number }> {
  const { shards } = await store.open({ appended: () => undefined, availability: () => undefined });
  const devices = shards.map((): string[] => []);
  for (let index = 0; index < backlog.devices; index++) {
    const device = deviceName(index);
    devices[shardOf(device, store.shards)]!.push(device);
  }
  let committed = 0;
  let frames = 0;
  const fillShard = async (shard: number, logId: string): Promise<void> => {
    const own = devices[shard]!;
    const total = own.length * backlog.messages;
    for (let at = 0, sequence = 1; at < total; sequence++) {
      // As many small frames as large ones, by order of magnitude.
      const count = Math.min(Math.ceil(FRAME_MAX_MESSAGES ** random.next()), total - at);
      const frame = frameOf(backlog, own, at, count);
      stampFrame(frame, logId);
      const outcome = await store.append({
        shard,
        logId,
        sequence,
        frame,
        count,
        qos2Add: [],
        qos2Remove: [],
        qos2Clear: [],
      });
      if (outcome.kind !== 'committed') throw new Error(`the store is ${outcome.kind} after ${committed} messages`);
      at += count;
      frames++;
      progress((committed += count));
    }
  };
  try {
    await Promise.all(shards.map(({ shard, epochs }) => fillShard(shard, epochs.at(-1)!.logId)));
    const stats = await Promise.all(shards.map(({ shard }) => store.stats(shard)));
    return { frames, bytes: stats.reduce((sum, { bytes }) => sum + bytes, 0) };
  } finally {
    await store.close();
  }
}

/** `count` messages from the `from`-th of the shard on: its devices take turns. */
function frameOf({ payloadBytes }: Backlog, devices: readonly string[], from: number, count: number): Buffer {
  const writer = new FrameWriter();
  const receivedAt = Date.now();
  for (let at = from; at < from + count; at++) {
    const clientId = devices[at % devices.length]!;
    writer.add({
      clientId,
      user: '',
      topic: `devices/${clientId}/telemetry`,
      payload: Buffer.from(makePayload(clientId, Math.floor(at / devices.length), payloadBytes)),
      qos: 1,
      retain: false,
      dup: false,
      origin: Origin.mqtt,
      receivedAt,
      properties: undefined,
    });
  }
  return writer.finish();
}
