/** sluice as a program embeds it, on one route, with a real Kafka or a sink that counts and drops. */
import { createSluice } from '../../dist/index.js';
import { serve } from '../role.mjs';

let sluice;
let nullSink;

serve({
  /** @param {{ config: object, sink: 'null' | 'kafka', partitions: number }} options */
  async start({ config, sink, partitions }) {
    const hooks = {};
    if (sink === 'null') {
      const { createNullSink } = await import('../../dist/kafka/null-sink.js');
      nullSink = createNullSink({ partitions });
      hooks.sink = nullSink;
    }
    sluice = createSluice(config, hooks);
    await sluice.start();
    return { port: config.listeners.mqtt.port };
  },
  async ledger() {
    const { ledger } = await sluice.status();
    return { ...ledger, taken: nullSink?.taken.records };
  },
  async status() {
    const { buffer, counters, kafka } = await sluice.status();
    return { durability: buffer.durability, weak: [...buffer.weak, ...kafka.weak], counters };
  },
  async stop() {
    await sluice.stop();
  },
});
