/**
 * The broker under test, in a process of its own: what ends it is seen. Its parent gets the port, and the counts when it asks.
 * PLANT=1 plants an exception that nothing catches: the fuzzer has to find it.
 */
import { EventEmitter } from 'node:events';
import { ScriptedStore } from '../support/scripted-store.ts';
import { startTestBroker } from '../support/test-broker.ts';

export interface BrokerReport {
  readonly port: number;
  readonly rssBytes: number;
  readonly faults: readonly string[];
}

const store = new ScriptedStore();
store.keeps = false;
const test = await startTestBroker({
  store,
  limits: { connectTimeoutMs: Number(process.env['CONNECT_TIMEOUT_MS'] ?? 2_000) },
});

if (process.env['PLANT'] === '1') {
  const emit = EventEmitter.prototype.emit as (this: unknown, ...args: unknown[]) => boolean;
  EventEmitter.prototype.emit = function (this: EventEmitter, ...args: unknown[]): boolean {
    const packet = args[1] as { cmd?: string; topic?: string } | undefined;
    if (args[0] === 'packet' && packet?.cmd === 'publish' && packet.topic === '/')
      process.nextTick(() => {
        throw new Error('planted');
      });
    return emit.apply(this, args);
  };
}

function report(): void {
  const faults = test.faults.splice(0);
  test.failed.length = test.refused.length = test.forbiddenWills.length = 0;
  process.send?.({
    port: test.port,
    rssBytes: process.memoryUsage().rss,
    faults: faults.slice(0, 5),
  } satisfies BrokerReport);
}

process.on('message', report);
process.on('disconnect', () => process.exit(0));
report();
