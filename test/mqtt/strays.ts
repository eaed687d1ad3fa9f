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

/** The emitter takes the topic `planted` later, when nobody is there to catch what it throws then, and never calls back. */
function plantLate(prototype: LocalEmitter): void {
  const original = prototype.emit;
  prototype.emit = function (packet, done) {
    if (packet.topic !== PLANTED) return original.call(this, packet, done);
    const struck = Object.create(packet, {
      topic: {
        get: () => {
          throw new Error('planted');
        },
      },
    }) as typeof packet;
    setImmediate(() => original.call(this, struck, done));
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
    plantLate(LocalEmitter.prototype);
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
