import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createKafkaSink } from '../../src/kafka/adapter.ts';
import { inspectTopics } from '../../src/kafka/durability.ts';
import type { KafkaFault, KafkaSink } from '../../src/kafka/sink.ts';
import { consume } from '../support/kcat.ts';
import { startKafka, uniqueTopic, type Kafka } from '../support/services.ts';
import { numbered, slicesOf } from './support/records.ts';

let kafka: Kafka;
let sink: KafkaSink;

beforeAll(async () => {
  kafka = await startKafka({ nodes: 3 });
  sink = createKafkaSink({ brokers: kafka.brokers, requestTimeoutMs: 5_000 });
});
afterAll(async () => {
  await sink.close();
  await kafka.stop();
});
afterEach(async () => {
  for (const node of kafka.nodes) if (!node.running) await node.start();
});

async function leaderOf(topic: string, partition = 0): Promise<number> {
  const { topics } = await kafka.admin((admin) => admin.fetchTopicMetadata({ topics: [topic] }));
  return topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)?.leader ?? -1;
}

const nodeOf = (id: number): Kafka['nodes'][number] =>
  kafka.nodes.find((node) => node.id === id) as Kafka['nodes'][number];

interface Run {
  sent: number;
  readonly faults: KafkaFault[];
  readonly done: Promise<void>;
  stop(): void;
}

/** Writes 'v0' .. to one partition as a lane does, until it is stopped. */
function keepWriting(topic: string, partition: number): Run {
  let stopped = false;
  const faults: KafkaFault[] = [];
  const write = async (): Promise<void> => {
    while (!stopped) {
      const records = numbered(5, run.sent).map((record) => ({ ...record, timestamp: Date.now() }));
      const chunk = sink.encode(topic, partition, slicesOf(records), 0, 5);
      for (;;) {
        const fault = await sink.send(chunk).then(
          () => undefined,
          (error: KafkaFault) => error,
        );
        if (fault === undefined) break;
        faults.push(fault);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      run.sent += 5;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const run: Run = { sent: 0, faults, done: Promise.resolve(), stop: () => (stopped = true) };
  Object.assign(run, { done: write() });
  return run;
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
};

describe('three brokers', () => {
  it('of which one is killed: its partitions go on with their next leader, the others all the time; nothing lost, twice or out of order', async () => {
    const topic = uniqueTopic('killed');
    await kafka.createTopic(topic, 3);
    await sink.loadTopic(topic);
    const runs = [0, 1, 2].map((partition) => keepWriting(topic, partition));
    await until(() => runs.every(({ sent }) => sent >= 50));
    const victim = await leaderOf(topic, 0);
    const leaders = await Promise.all([0, 1, 2].map((partition) => leaderOf(topic, partition)));
    await nodeOf(victim).kill();
    const at = runs.map(({ sent }) => sent);
    await until(() => runs.every(({ sent }, index) => sent >= (at[index] ?? 0) + 200));
    for (const run of runs) run.stop();
    await Promise.all(runs.map(({ done }) => done));
    const read = await consume(kafka.directBrokers, topic);
    for (const [partition, run] of runs.entries()) {
      const values = read.filter((record) => record.partition === partition).map(({ value }) => String(value));
      expect(values, `partition ${partition}`).toEqual(numbered(run.sent).map(({ value }) => value));
      // One broker of three is its partitions' affair, not the cluster's.
      expect(run.faults.filter(({ scope }) => scope !== 'topic')).toEqual([]);
      if (leaders[partition] === victim) expect(run.faults.length).toBeGreaterThan(0);
    }
  }, 60_000);

  it('of which one hands its partitions over as it stops: nothing lost, twice or out of order', async () => {
    const topic = uniqueTopic('moved');
    await kafka.createTopic(topic, 1);
    await sink.loadTopic(topic);
    const run = keepWriting(topic, 0);
    await until(() => run.sent >= 50);
    await nodeOf(await leaderOf(topic)).stop();
    const at = run.sent;
    await until(() => run.sent >= at + 200);
    run.stop();
    await run.done;
    const values = (await consume(kafka.directBrokers, topic)).map(({ value }) => String(value));
    expect(values).toEqual(numbered(run.sent).map(({ value }) => value));
    expect(run.faults.filter(({ scope }) => scope !== 'topic')).toEqual([]);
  }, 60_000);

  it('that have too few replicas in sync refuse: a fault of that topic while another goes on', async () => {
    const [strict, plain] = [uniqueTopic('strict'), uniqueTopic('plain')];
    await kafka.createTopic(strict, 1, { config: { 'min.insync.replicas': 3 } });
    await kafka.createTopic(plain, 3, { config: { 'min.insync.replicas': 1 } });
    for (const topic of [strict, plain]) await sink.loadTopic(topic);
    const leader = await leaderOf(strict);
    const follower = kafka.nodes.find(({ id }) => id !== leader);
    await follower?.kill();
    const chunk = sink.encode(strict, 0, slicesOf(numbered(1)), 0, 1);
    const reasons = new Set<string>();
    while (!reasons.has('NOT_ENOUGH_REPLICAS')) {
      const error = await sink.send(chunk).then(
        () => undefined,
        (fault: KafkaFault) => fault,
      );
      // Until the follower is known to be out of sync it is waited for.
      if (error !== undefined) {
        expect(error.scope).toBe('topic');
        reasons.add(error.reason);
      }
    }
    const other = keepWriting(plain, 0);
    await until(() => other.sent >= 20);
    other.stop();
    await other.done;
    await follower?.start();
    for (;;) {
      const again = await sink.send(chunk).then(() => undefined, (fault: KafkaFault) => fault); // prettier-ignore
      if (again === undefined) break;
    }
    const values = (await consume(kafka.directBrokers, strict)).map(({ value }) => String(value));
    expect(new Set(values)).toEqual(new Set(['v0']));
  }, 60_000);

  it('are judged by what their topics are set to', async () => {
    const [good, weak, one] = [uniqueTopic('good'), uniqueTopic('weak'), uniqueTopic('one')];
    await kafka.createTopic(good, 2);
    await kafka.createTopic(weak, 2, { config: { 'min.insync.replicas': 1 } });
    await kafka.createTopic(one, 2, { replicationFactor: 1 });
    const reports = await inspectTopics({ brokers: kafka.brokers }, [good, weak, one]);
    expect(reports[0]).toEqual({
      topic: good,
      state: 'present',
      partitions: 2,
      replicationFactor: 3,
      minInsyncReplicas: 2,
      uncleanLeaderElection: false,
      weak: [],
    });
    expect(reports[1]?.weak).toEqual([expect.stringContaining('Set it to 2.')]);
    expect(reports[2]?.weak).toEqual([expect.stringContaining('replication factor 1')]);
  });
});
