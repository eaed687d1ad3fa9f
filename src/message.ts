/** The message that flows: what one MQTT PUBLISH, will or library publish carries, from admission to Kafka. */

/** MQTT 5 PUBLISH properties that travel with a message (MQTT 5.0 §3.3.2.3). Topic aliases never get this far. */
export interface MessageProperties {
  /** true: the payload is UTF-8 text (0x01 Payload Format Indicator). */
  payloadFormatIndicator?: boolean;
  /** Seconds from arrival (0x02 Message Expiry Interval). */
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Buffer;
  /** In the order of the packet; names may repeat (0x26 User Property). */
  userProperties?: readonly (readonly [name: string, value: string])[];
  /**
   * Not of MQTT, and no client can set it: the `sluice-id` that this message has always had. Given where it is a dead letter that was
   * put in again; it keeps its name, so that whoever reads Kafka recognises it.
   */
  replayOf?: string;
}

/** How a message came in. Stored with the message: the numbers are part of the frame format. */
export const Origin = { mqtt: 0, will: 1, http: 2, library: 3 } as const;
export type Origin = (typeof Origin)[keyof typeof Origin];

export interface Message {
  readonly clientId: string;
  /** The authenticated user, '' where there is none. */
  readonly user: string;
  /** MQTT topic name, already checked: no wildcard, no U+0000. */
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** The publisher set DUP: it may have sent this before ([MQTT-3.3.1-1]). */
  readonly dup: boolean;
  readonly origin: Origin;
  /** Arrival, milliseconds since the epoch. */
  readonly receivedAt: number;
  readonly properties: MessageProperties | undefined;
}
