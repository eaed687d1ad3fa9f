import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKafkaSink } from '../../src/kafka/adapter.ts';
import { ErrorCode } from '../../src/kafka/faults.ts';
import type { Chunk, KafkaSink } from '../../src/kafka/sink.ts';
import { consume } from '../support/kcat.ts';
import { freePort, startKafka, uniqueTopic, type Kafka } from '../support/services.ts';
import { numbered, slicesOf } from './support/records.ts';
import { API, setInitProducerIdError, setProduceError, startRewriter, type Rewriter } from './support/rewriter.ts';

let kafka: Kafka;
let rewriter: Rewriter;
let sink: KafkaSink;
let topic: string;
let logged: string[];

beforeAll(async () => {
  const [brokerPort, rewriterPort] = [await freePort(), await freePort()];
  rewriter = await startRewriter(rewriterPort, () => brokerPort);
  kafka = await startKafka({ ports: [brokerPort], advertisedPorts: [rewriterPort] });
});
afterAll(async () => {
  await kafka.stop();
  rewriter.close();
});

beforeEach(async () => {
  logged = [];
  topic = uniqueTopic('answers');
  const log = (level: string, message: string): void => void (level === 'warn' && logged.push(message));
  sink = createKafkaSink({ brokers: kafka.brokers }, { log });
  await sink.loadTopic(topic);
});
afterEach(async () => {
  rewriter.rewrite = undefined;
  await sink.close();
});

function chunkOf(count: number, from: number): Chunk {
  return sink.encode(
    topic,
    0,
    slicesOf(numbered(count, from).map((record) => ({ ...record, timestamp: Date.now() }))),
    0,
    count,
  );
}

/** The broker did as it was asked, and its next `times` answers to Produce say that it did not. */
function answerProduce(errorCode: number, times = 1): { answered: number } {
  const state = { answered: 0 };
  rewriter.rewrite = ({ apiKey, answer }) => {
    if (apiKey !== API.produce || state.answered >= times) return;
    state.answered++;
    setProduceError(answer, topic, errorCode);
  };
  return state;
}

const written = async (): Promise<string[]> =>
  (await consume(kafka.directBrokers, topic)).map(({ value }) => String(value));

const sequence = (from: number, to: number): string[] => numbered(to - from, from).map(({ value }) => String(value));

describe('an answer to a chunk', () => {
  it('DUPLICATE_SEQUENCE_NUMBER confirms it when an earlier attempt may have been written', async () => {
    answerProduce(7); // REQUEST_TIMED_OUT
    const chunk = chunkOf(5, 0);
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'topic', reason: 'REQUEST_TIMED_OUT' });
    answerProduce(ErrorCode.duplicateSequenceNumber);
    await sink.send(chunk);
    await sink.send(chunkOf(5, 5));
    expect(await written()).toEqual(sequence(0, 10));
    expect(logged).toEqual([]);
  });

  it('DUPLICATE_SEQUENCE_NUMBER to the first attempt is no confirmation: it is sent under a new producer id', async () => {
    answerProduce(ErrorCode.duplicateSequenceNumber);
    await sink.send(chunkOf(5, 0));
    expect(logged).toEqual([expect.stringContaining('new producer id')]);
    // Here the broker did write what it denied; were it true, one copy would be missing without the second attempt.
    expect(await written()).toEqual([...sequence(0, 5), ...sequence(0, 5)]);
  });

  it.each([
    ['OUT_OF_ORDER_SEQUENCE_NUMBER', ErrorCode.outOfOrderSequenceNumber],
    ['UNKNOWN_PRODUCER_ID', ErrorCode.unknownProducerId],
    ['INVALID_PRODUCER_EPOCH', ErrorCode.invalidProducerEpoch],
  ])('%s sends it again under a new producer id, once', async (reason, errorCode) => {
    await sink.send(chunkOf(5, 0));
    const state = answerProduce(errorCode);
    await sink.send(chunkOf(5, 5));
    expect(state.answered).toBe(1);
    const twice = answerProduce(errorCode, 2);
    await expect(sink.send(chunkOf(5, 10))).rejects.toMatchObject({ scope: 'topic', reason });
    expect(twice.answered).toBe(2);
    expect(await written()).toEqual([...sequence(0, 10), ...sequence(5, 10), ...sequence(10, 15), ...sequence(10, 15)]);
  });

  it('CORRUPT_MESSAGE is a fault of the topic first, and of the record when it comes again', async () => {
    answerProduce(ErrorCode.corruptMessage, 2);
    const chunk = chunkOf(1, 0);
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'topic', reason: 'CORRUPT_MESSAGE' });
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'record', reason: 'CORRUPT_MESSAGE' });
  });

  it('NOT_LEADER_OR_FOLLOWER is tried a few times at once, then it is a fault of the topic', async () => {
    const passing = answerProduce(6, 3);
    await sink.send(chunkOf(5, 0));
    expect(passing.answered).toBe(3);
    answerProduce(6, 100);
    await expect(sink.send(chunkOf(5, 5))).rejects.toMatchObject({ scope: 'topic', reason: 'NOT_LEADER_OR_FOLLOWER' });
  });

  it('that refuses a record although an earlier attempt was written leaves the next chunk its own place', async () => {
    answerProduce(7);
    const chunk = chunkOf(1, 0);
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'topic' });
    answerProduce(10); // MESSAGE_TOO_LARGE
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'record' });
    // Of the same count: under the same sequence it would be taken for the first one.
    await sink.send(chunkOf(1, 1));
    expect(await written()).toEqual(['v0', 'v1']);
  });

  it('CLUSTER_AUTHORIZATION_FAILED goes on without idempotence, and says so', async () => {
    await sink.send(chunkOf(5, 0));
    answerProduce(ErrorCode.clusterAuthorizationFailed);
    const chunk = chunkOf(5, 5);
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'cluster', reason: 'CLUSTER_AUTHORIZATION_FAILED' });
    await sink.send(chunk);
    await sink.send(chunkOf(5, 10));
    expect(logged).toEqual([expect.stringContaining('refuses idempotent writes')]);
    expect(await written()).toEqual([...sequence(0, 10), ...sequence(5, 15)]);
  });
});

describe('an answer to InitProducerId', () => {
  const answerInit = (errorCode: number, times: number): void => {
    let left = times;
    rewriter.rewrite = ({ apiKey, answer }) => {
      if (apiKey === API.initProducerId && left-- > 0) setInitProducerIdError(answer, errorCode);
    };
  };

  it('CLUSTER_AUTHORIZATION_FAILED writes without idempotence, and says so once', async () => {
    answerInit(ErrorCode.clusterAuthorizationFailed, 100);
    await sink.send(chunkOf(5, 0));
    await sink.send(chunkOf(5, 5));
    expect(logged).toEqual([expect.stringContaining('grant IdempotentWrite')]);
    expect(await written()).toEqual(sequence(0, 10));
  });

  it('COORDINATOR_LOAD_IN_PROGRESS is asked again', async () => {
    answerInit(ErrorCode.coordinatorLoadInProgress, 3);
    await sink.send(chunkOf(5, 0));
    expect(await written()).toEqual(sequence(0, 5));
  });

  it('any other error is a fault of the cluster', async () => {
    answerInit(-1, 1);
    const chunk = chunkOf(5, 0);
    await expect(sink.send(chunk)).rejects.toMatchObject({ scope: 'cluster', reason: 'UNKNOWN_SERVER_ERROR' });
    await sink.send(chunk);
    expect(await written()).toEqual(sequence(0, 5));
  });
});
