/** A downlink as it is configured: which records of Kafka become which MQTT messages. */

export const noSubscriberRules = ['hold', 'deadLetter', 'drop'] as const;
export type NoSubscriberRule = (typeof noSubscriberRules)[number];

export interface DownlinkDefinition {
  readonly name: string;
  /** Kafka topic; or `regex`. */
  readonly from?: string | undefined;
  /** For the names of Kafka topics (RE2). */
  readonly regex?: string | undefined;
  readonly group?: string | undefined;
  readonly startAt: 'earliest' | 'latest';
  /** CEL. */
  readonly where?: string | undefined;
  /** Template of the MQTT topic. */
  readonly to: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Counts from the timestamp of the record. */
  readonly messageExpiryMs?: number | undefined;
  /** Names of record headers that become user properties. */
  readonly userProperties: readonly string[];
  readonly value: 'raw' | 'json';
  readonly noSubscriber: NoSubscriberRule;
  readonly holdTimeoutMs: number;
  readonly acknowledgeTimeoutMs: number;
  readonly deadLetters: string;
  readonly windowRecords: number;
  readonly windowBytes: number;
  /** What becomes of records that a sluice has written. */
  readonly fromSluice: 'skip' | 'send';
}

/** What is wrong with one, in the shape of the problems of routes. */
export interface DownlinkProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly wayOut: string;
}
