/**
 * The last barrier: what MQTT code throws where nobody can catch it (in a timer, in the callback of a promise) does not end the
 * process, which holds the connections of everybody else. It becomes a fault event, and whoever waits for an answer that now does
 * not come is closed (see Broker).
 *
 * That goes for aedes, its emitter, its persistence and src/mqtt alone. An exception that has passed through the buffer, or comes
 * from elsewhere, goes its usual way: what the buffer holds after it nobody knows, and the process has to end.
 */
import type { EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';

type Heard = (error: unknown) => void;

const listening = new Set<Heard>();
const OURS = fileURLToPath(new URL('.', import.meta.url));
const LIBRARIES = /[\\/]node_modules[\\/](aedes|aedes-[\w-]+|mqemitter|mqemitter-[\w-]+|mqtt-packet|qlobber)[\\/]/;
const ELSEWHERE = ['buffer', 'ingest', 'forward', 'kafka'].map((folder) =>
  fileURLToPath(new URL(`../${folder}/`, import.meta.url)),
);

/** Until the function that is returned is called. Does nothing where the embedding program captures exceptions itself. */
export function hearStrays(heard: Heard): () => void {
  if (listening.size === 0) {
    if (process.hasUncaughtExceptionCaptureCallback()) return () => undefined;
    process.setUncaughtExceptionCaptureCallback(captured);
  }
  listening.add(heard);
  return () => {
    if (listening.delete(heard) && listening.size === 0) process.setUncaughtExceptionCaptureCallback(null);
  };
}

function captured(error: Error): void {
  if (isOfMqtt(error)) for (const heard of listening) heard(error);
  else if (process.listenerCount('uncaughtException') === 0) throw error;
  else (process as EventEmitter).emit('uncaughtException', error, 'uncaughtException');
}

/** By the places that its stack names. */
export function isOfMqtt(error: unknown): boolean {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  if (ELSEWHERE.some((folder) => stack.includes(folder))) return false;
  return stack.includes(OURS) || LIBRARIES.test(stack);
}
