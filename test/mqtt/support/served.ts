import type { ConnectionInfo } from '../../../src/mqtt/connection.ts';
import { startListeners, type Listeners, type ListenersOptions } from '../../../src/mqtt/listeners/listeners.ts';
import { afterTest, start } from './harness.ts';
import type { TestBroker, TestBrokerOptions } from './test-broker.ts';

/** A broker behind the listeners of the product. */
export interface Served extends TestBroker {
  readonly listeners: Listeners;
  readonly infos: ConnectionInfo[];
  /** `listener: message` */
  readonly clientFaults: string[];
  /** Addresses of the same. */
  readonly faultyAddresses: string[];
  readonly ownFaults: string[];
  portOf(name: string): number;
}

/** Stopped after the test. */
export async function serve(
  options: ListenersOptions,
  limits: Partial<Parameters<typeof startListeners>[2]['limits']> = {},
  broker: TestBrokerOptions = {},
): Promise<Served> {
  const test = await start(broker);
  const infos: ConnectionInfo[] = [];
  const clientFaults: string[] = [];
  const faultyAddresses: string[] = [];
  const ownFaults: string[] = [];
  const listeners = await startListeners(
    options,
    (stream, info) => {
      infos.push(info);
      test.broker.handle(stream, info);
    },
    {
      limits: { connections: 1_000, maxPacketSizeBytes: 262_144, connectTimeoutMs: 2_000, ...limits },
      clientFault: (listener, address, error) => {
        clientFaults.push(`${listener}: ${error.message}`);
        faultyAddresses.push(address);
      },
      fault: (where, error) => ownFaults.push(`${where}: ${String(error)}`),
    },
  );
  afterTest(() => listeners.close());
  const portOf = (name: string): number => listeners.listening.find((each) => each.name === name)?.port ?? 0;
  return { ...test, listeners, infos, clientFaults, faultyAddresses, ownFaults, portOf };
}
