import type { Answer, Delivery } from './player.ts';

/** Where sluice and mosquitto may differ, and why both are right, or whose fault it is. What is not here is a failure. */
export interface Deviation {
  readonly what: string;
  readonly why: string;
  /** Makes both sides the same; undefined takes it out. */
  readonly answer?: (answer: Answer) => Answer | undefined;
  /** Those of one topic, in their order. */
  readonly messages?: (messages: readonly Delivery[]) => readonly Delivery[];
}

export const deviations: readonly Deviation[] = [
  {
    what: 'PUBACK and PUBREC say 0x10 where nobody has subscribed',
    why: '§3.4.2.1 lets a server say so, and sluice does not: a message goes to Kafka, whoever subscribes.',
    answer: (answer) =>
      (answer.kind === 'puback' || answer.kind === 'pubrec') && answer.code === 0x10 ? { ...answer, code: 0 } : answer,
  },
  {
    what: 'DISCONNECT 0x8e at a take-over',
    why: '[MQTT-3.1.4-3] wants it; mosquitto 2.0.11 closes without.',
    answer: (answer) => (answer.kind === 'disconnect' && answer.code === 0x8e ? undefined : answer),
  },
  {
    what: 'QoS, retain flag, identifiers and number of messages where several subscriptions of a client match',
    why: '[MQTT-3.3.4-2] wants the highest QoS of them, or one message each; mosquitto 2.0.11 takes the one it finds first.',
    messages: (messages) => {
      const payloads = new Set<string>();
      return messages.flatMap((message) => {
        if (!message.overlapping) return [message];
        if (payloads.has(message.payload)) return [];
        payloads.add(message.payload);
        const { subscriptionIdentifier: _, ...properties } = message.properties;
        return [{ ...message, qos: 0, retain: false, dup: false, properties }];
      });
    },
  },
];
