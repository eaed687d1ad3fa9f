import { once, type EventEmitter } from 'node:events';
import type { MqttClient } from 'mqtt';

/** The arguments of the next such event of an mqtt.js client, whose types do not fit node's once(). */
export function occurs<T extends unknown[]>(client: MqttClient, event: 'connect' | 'message' | 'close'): Promise<T> {
  return once(client as unknown as EventEmitter, event) as Promise<T>;
}
