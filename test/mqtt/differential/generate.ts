import type { ISubscription } from 'mqtt-packet';
import type { Random } from '../../support/random.ts';
import type { PublishProperties, Qos } from '../support/peer.ts';
import type { Sequence, Step, Will } from './sequence.ts';

const CLIENTS = 3;
const topics = ['a', 'b', 'a/b', 'a/c', 'b/c', 'a/b/c'] as const;
const filters = [...topics, '#', '+', 'a/+', '+/b', 'a/#', '+/+', 'a/+/c', '+/+/#'] as const;
const qualities = [0, 1, 2] as const;

/**
 * A sequence of well-formed steps. Time plays no part in it, nor does what mosquitto 2.0.11 is known to do otherwise than the
 * specification says, which our own cases (test/mqtt/conformance) show of sluice:
 * - the options of a subscription that is made again stay as they were the first time [MQTT-3.8.4-3]: here a client takes a
 *   filter with the same options each time, but for the QoS;
 * - a client that is taken over while it has a will is not given one, though its connection ends without DISCONNECT
 *   [MQTT-3.1.2-8]: here clients with a will are not taken over.
 */
export function generate(random: Random, name: string): Sequence {
  const versions = Array.from({ length: CLIENTS }, () => random.pick([4, 5] as const));
  const state = Array.from({ length: CLIENTS }, () => ({ connected: false, will: false }));
  const chosen = new Map<string, Pick<ISubscription, 'nl' | 'rap' | 'rh'>>();
  const steps: Step[] = [];
  let payloads = 0;
  const likely = (share: number): boolean => random.next() < share;
  const qos = (): Qos => random.pick(qualities);
  const will = (): Will => ({
    topic: random.pick(topics),
    payload: `will ${payloads++}`,
    qos: qos(),
    retain: likely(0.2),
  });

  const connect = (client: number): Step => {
    const deaf = likely(0.15);
    const withWill = likely(0.25);
    state[client] = { connected: true, will: withWill };
    const clean = likely(0.4);
    return {
      does: 'connect',
      client,
      clean,
      expiry: likely(0.7) ? 3_600 : 0,
      ...(deaf ? { deaf } : {}),
      ...(withWill ? { will: will() } : {}),
    };
  };
  const subscription = (client: number): ISubscription => {
    const topic = random.pick(filters);
    const options = chosen.get(`${client} ${topic}`) ?? {
      nl: likely(0.2),
      rap: likely(0.3),
      rh: random.pick([0, 0, 0, 1, 2]),
    };
    chosen.set(`${client} ${topic}`, options);
    return { topic, qos: qos(), ...options };
  };
  const properties = (): PublishProperties => ({
    ...(likely(0.3) ? { userProperties: { a: '1', b: 'two' } } : {}),
    ...(likely(0.2) ? { contentType: 'text/plain' } : {}),
    ...(likely(0.2) ? { responseTopic: 'answers', correlationData: Buffer.from('7') } : {}),
    ...(likely(0.2) ? { payloadFormatIndicator: true } : {}),
  });

  for (let count = 12 + random.int(14); count > 0; count--) {
    const client = random.int(CLIENTS);
    const one = state[client]!;
    if (!one.connected) {
      steps.push(connect(client));
      continue;
    }
    const dice = random.next();
    if (dice < 0.3) {
      const subscriptions = [subscription(client), ...(likely(0.3) ? [subscription(client)] : [])];
      const identifier = likely(0.2) ? { identifier: 1 + random.int(300) } : {};
      steps.push({ does: 'subscribe', client, subscriptions, ...identifier });
    } else if (dice < 0.37) {
      steps.push({ does: 'unsubscribe', client, filters: [random.pick(filters)] });
    } else if (dice < 0.8) {
      const retain = likely(0.25);
      const payload = retain && likely(0.3) ? '' : `payload ${payloads++}`;
      steps.push({
        does: 'publish',
        client,
        topic: random.pick(topics),
        payload,
        qos: qos(),
        retain,
        properties: properties(),
      });
    } else if (dice < 0.87) {
      one.connected = false;
      steps.push({
        does: 'disconnect',
        client,
        ...(likely(0.2) ? { reasonCode: 4 } : {}),
      });
    } else if (dice < 0.94) {
      one.connected = false;
      steps.push({ does: 'drop', client });
    } else if (!one.will) {
      steps.push(connect(client));
    }
  }
  return { name, versions, steps };
}
