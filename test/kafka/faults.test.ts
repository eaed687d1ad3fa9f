import { describe, expect, it } from 'vitest';
import { ErrorCode, faultOf, isSequenceLost, kafkaError, mayBeWritten } from '../../src/kafka/faults.ts';

describe('kafkaError', () => {
  // Spot checks over the whole length of the table: one name too few would shift what follows.
  it.each([
    [-1, 'UNKNOWN_SERVER_ERROR', 'topic'],
    [2, 'CORRUPT_MESSAGE', 'topic'],
    [3, 'UNKNOWN_TOPIC_OR_PARTITION', 'topic'],
    [5, 'LEADER_NOT_AVAILABLE', 'topic'],
    [6, 'NOT_LEADER_OR_FOLLOWER', 'topic'],
    [7, 'REQUEST_TIMED_OUT', 'topic'],
    [10, 'MESSAGE_TOO_LARGE', 'record'],
    [13, 'NETWORK_EXCEPTION', 'cluster'],
    [17, 'INVALID_TOPIC_EXCEPTION', 'topic'],
    [18, 'RECORD_LIST_TOO_LARGE', 'record'],
    [19, 'NOT_ENOUGH_REPLICAS', 'topic'],
    [20, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'topic'],
    [29, 'TOPIC_AUTHORIZATION_FAILED', 'topic'],
    [31, 'CLUSTER_AUTHORIZATION_FAILED', 'cluster'],
    [32, 'INVALID_TIMESTAMP', 'record'],
    [35, 'UNSUPPORTED_VERSION', 'cluster'],
    [43, 'UNSUPPORTED_FOR_MESSAGE_FORMAT', 'topic'],
    [44, 'POLICY_VIOLATION', 'topic'],
    [45, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'topic'],
    [56, 'KAFKA_STORAGE_ERROR', 'topic'],
    [58, 'SASL_AUTHENTICATION_FAILED', 'cluster'],
    [59, 'UNKNOWN_PRODUCER_ID', 'topic'],
    [76, 'UNSUPPORTED_COMPRESSION_TYPE', 'topic'],
    [87, 'INVALID_RECORD', 'record'],
    [89, 'THROTTLING_QUOTA_EXCEEDED', 'topic'],
    [100, 'UNKNOWN_TOPIC_ID', 'topic'],
    [104, 'INCONSISTENT_CLUSTER_ID', 'cluster'],
    [120, 'TRANSACTION_ABORTABLE', 'cluster'],
    [133, 'SHARE_SESSION_LIMIT_REACHED', 'cluster'],
  ] as const)('%i is %s, of scope %s', (code, name, scope) => expect(kafkaError(code)).toEqual({ name, scope }));

  it('takes a code that is newer than the table for its topic’s affair', () => {
    expect(kafkaError(134)).toEqual({ name: 'UNKNOWN_ERROR_134', scope: 'topic' });
  });
});

describe('what the adapter goes by', () => {
  it('the sequence is lost after these codes and no others', () => {
    const lost = Array.from({ length: 134 }, (_, code) => code).filter(isSequenceLost);
    expect(lost.map((code) => kafkaError(code).name)).toEqual([
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      'INVALID_PRODUCER_EPOCH',
      'INVALID_PRODUCER_ID_MAPPING',
      'UNKNOWN_PRODUCER_ID',
      'PRODUCER_FENCED',
    ]);
  });

  it('a chunk may be written after a code unless the broker answers it before it writes', () => {
    const { unknownTopicOrPartition, topicAuthorizationFailed, duplicateSequenceNumber } = ErrorCode;
    expect([unknownTopicOrPartition, topicAuthorizationFailed, 6, 19].map(mayBeWritten)).toEqual(Array(4).fill(false));
    expect([-1, 7, 20, 56, 999, duplicateSequenceNumber].map(mayBeWritten)).toEqual(Array(6).fill(true));
  });
});

describe('faultOf', () => {
  it('names what it befell, the code and what the broker said, and keeps indexes of record faults', () => {
    const fault = faultOf(87, 't/0', 'no key', [3, 4]);
    expect(fault).toMatchObject({ scope: 'record', reason: 'INVALID_RECORD', records: [3, 4] });
    expect(fault.message).toBe('t/0: INVALID_RECORD (no key)');
    expect(faultOf(10, 't/0', null, []).records).toBeUndefined();
    expect(faultOf(3, 't/0', null, [1]).records).toBeUndefined();
  });
});
