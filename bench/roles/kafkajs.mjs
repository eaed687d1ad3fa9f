/**
 * kafkajs' own producer with records like those of sluice: same key, same size, same default headers. Batches of a
 * thousand, a few of them in flight, acks from all in-sync replicas.
 */
import kafkajs from 'kafkajs';
import { monotonicMs, pause } from '../clock.mjs';
import { Histogram } from '../histogram.mjs';
import { serve, usage } from '../role.mjs';
import { FILLER, publisherName, topicOf, writeStamp } from '../stamp.mjs';

const BATCH_RECORDS = 1_000;
const BATCHES_IN_FLIGHT = 4;

const latency = new Histogram();
/** Per publisher, what it has sent. */
const sequences = [];
let faults = [];
let producer;
let options;
let acknowledged = 0;
let running = false;
let inFlight = 0;

function record(publisher, now) {
  const sequence = sequences[publisher] ?? 0;
  sequences[publisher] = sequence + 1;
  const value = Buffer.allocUnsafe(options.sizeBytes).fill(FILLER);
  writeStamp(value, 0, sequence, publisher, now);
  const clientId = publisherName(publisher);
  return {
    key: clientId,
    value,
    timestamp: String(Date.now()),
    headers: {
      'mqtt-topic': topicOf(publisher),
      'mqtt-client-id': clientId,
      'mqtt-qos': '1',
      'mqtt-retain': 'false',
      'sluice-id': `AAAAAAAAAAAAAAAAAAAAAA:${publisher % 4}:${sequence}`,
      'sluice-route': 'bench',
    },
  };
}

/** @param {number} first the publisher whose turn it is @returns the publisher after the batch */
async function sendBatch(first, step) {
  const now = monotonicMs();
  let turn = first;
  const messages = Array.from({ length: BATCH_RECORDS }, () => {
    const message = record(turn, now);
    turn = turn + step < options.clients ? turn + step : first % step;
    return message;
  });
  await producer.send({ topic: options.topic, acks: -1, messages });
  acknowledged += BATCH_RECORDS;
  latency.record(monotonicMs() - now, BATCH_RECORDS);
  return turn;
}

/** Concurrent sends of kafkajs may overtake one another: each has publishers of its own, so that their order holds. */
async function sendWhileRunning(lane, lanes) {
  inFlight += 1;
  try {
    for (let turn = lane; running;) turn = await sendBatch(turn, lanes);
  } catch (error) {
    faults.push(error.message);
  } finally {
    inFlight -= 1;
  }
}

serve({
  /** @param {{ brokers: string[], topic: string, clients: number, sizeBytes: number }} given */
  async start(given) {
    options = given;
    const kafka = new kafkajs.Kafka({ clientId: 'bench', brokers: given.brokers, logLevel: kafkajs.logLevel.NOTHING });
    producer = kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
  },
  run() {
    running = true;
    const lanes = Math.min(BATCHES_IN_FLIGHT, options.clients);
    for (let lane = 0; lane < lanes; lane += 1) void sendWhileRunning(lane, lanes);
  },
  mark() {
    latency.reset();
    return { ...usage(), acknowledged };
  },
  snapshot: () => ({ ...usage(), acknowledged, latency: latency.summary(), faults }),
  progress: () => ({ acknowledged, faults }),
  async stop() {
    running = false;
    while (inFlight > 0) await pause(5);
    await producer.disconnect();
    return {
      published: sequences.reduce((total, count) => total + count, 0),
      acknowledged,
      acknowledgedBy: sequences,
      faults,
    };
  },
});
