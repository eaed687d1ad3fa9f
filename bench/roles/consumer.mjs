/** Reads a Kafka topic from its start, accounts for every record, and measures from publish to consumed. */
import { monotonicMs } from '../clock.mjs';
import { Histogram } from '../histogram.mjs';
import { FetchConnection, fetchRequest, readFetchResponse } from '../kafka/fetch.mjs';
import { readBatches } from '../kafka/record-batches.mjs';
import { serve, usage } from '../role.mjs';
import { publisherOf, sentAtOf, sequenceOf } from '../stamp.mjs';
import { Tally } from '../tally.mjs';

const latency = new Histogram();
const tally = new Tally();
const connections = [];
let faults = [];
let stopped = false;
let now = 0;

function onValue(buffer, start) {
  tally.record(publisherOf(buffer, start), sequenceOf(buffer, start));
  latency.record(now - sentAtOf(buffer, start));
}

/** @param {FetchConnection} connection */
async function follow(connection, topic, partitions) {
  const offsets = new Map(partitions.map((partition) => [partition, 0n]));
  for (let correlationId = 1; !stopped; correlationId += 1) {
    const response = await connection.exchange(fetchRequest(correlationId, topic, offsets));
    now = monotonicMs();
    readFetchResponse(response, (partition, records) => {
      const next = readBatches(records, onValue);
      if (next !== undefined) offsets.set(partition, next);
    });
  }
}

serve({
  /** @param {{ topic: string, leaders: { host: string, port: number, partitions: number[] }[] }} options */
  async start({ topic, leaders }) {
    for (const { host, port, partitions } of leaders) {
      const connection = await FetchConnection.open(host, port);
      connections.push(connection);
      follow(connection, topic, partitions).catch((error) => {
        if (!stopped) faults.push(error.message);
      });
    }
  },
  mark() {
    latency.reset();
    return { ...usage(), records: tally.records };
  },
  snapshot: () => ({ ...usage(), records: tally.records, latency: latency.summary(), faults }),
  progress: () => ({ records: tally.records, faults }),
  stop() {
    stopped = true;
    for (const connection of connections) connection.close();
    return { ...tally.totals(), faults };
  },
});
