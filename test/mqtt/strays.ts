/** A broker in a process of its own with an exception planted in it, named by PLANT. Tells its port, then its faults. */
import { Aedes } from 'aedes';
import { LocalEmitter } from '../../src/mqtt/local-emitter.ts';
import { startTestBroker } from './support/test-broker.ts';

const PLANTED = 'planted';

/** Calls `method` of this prototype as before, but throws for the topic `planted`. */
function plant(prototype: object, method: string, topicOf: (...args: unknown[]) => unknown): void {
  const methods = prototype as Record<string, (this: unknown, ...args: unknown[]) => unknown>;
  const original = methods[method]!;
  methods[method] = function (...args) {
    if (topicOf(...args) === PLANTED) throw new Error('planted');
    return original.apply(this, args);
  };
}

/** The callback of this method comes later, when nobody is there to catch what it throws. */
function late(prototype: object, method: string): void {
  const methods = prototype as Record<string, (this: unknown, ...args: unknown[]) => unknown>;
  const original = methods[method]!;
  methods[method] = function (...args) {
    setImmediate(() => original.apply(this, args));
    return this;
  };
}

switch (process.env['PLANT']) {
  case 'broker':
    plant(Aedes.prototype, 'publish', (packet) => (packet as { topic: string }).topic);
    break;
  case 'emitter':
    plant(LocalEmitter.prototype, 'emit', (packet) => (packet as { topic: string }).topic);
    break;
  case 'late':
    // Thrown where nobody is there to catch it, and nobody calls back.
    plant(LocalEmitter.prototype, 'emit', (packet) => (packet as { topic: string }).topic);
    late(LocalEmitter.prototype, 'emit');
    break;
  case 'foreign':
    setInterval(() => {
      throw new Error('not of MQTT');
    }, 500);
    break;
  default:
    throw new Error('PLANT says what is planted');
}

const test = await startTestBroker();
process.on('message', () => process.send?.({ faults: test.faults }));
process.on('disconnect', () => process.exit(0));
process.send?.({ port: test.port });
