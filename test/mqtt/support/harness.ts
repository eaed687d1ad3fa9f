import { afterEach } from 'vitest';
import { RawClient } from './raw-client.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from './test-broker.ts';

const stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** Stopped after the test. */
export async function start(options?: TestBrokerOptions): Promise<TestBroker> {
  const test = await startTestBroker(options);
  stops.push(() => test.stop());
  return test;
}

/** A connected client, closed after the test. */
export async function raw(
  test: { readonly port: number },
  options?: Parameters<typeof RawClient.connect>[1],
): Promise<RawClient> {
  const client = await RawClient.connect(test.port, options);
  stops.push(() => client.destroy());
  return client;
}

/** A connection that has sent nothing yet. */
export async function rawOpen(test: { readonly port: number }, version: 4 | 5 = 4): Promise<RawClient> {
  const client = await RawClient.open(test.port, version);
  stops.push(() => client.destroy());
  return client;
}

export function afterTest(stop: () => Promise<void> | void): void {
  stops.push(stop);
}

/** `cmd messageId` of what came after the CONNACK. */
export function answers(client: RawClient): string[] {
  return client.received.slice(1).map(({ cmd, messageId }) => `${cmd} ${messageId}`);
}
