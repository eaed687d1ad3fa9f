import net from 'node:net';
import type { TestProject } from 'vitest/node';
import { prepare, startKafka, type Kafka } from '../../scripts/services/index.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    sharedKafkaPort: number;
  }
}

/**
 * Test files run in processes of their own but share one Kafka, which only some of them need: this process listens on
 * a port, starts Kafka when the first connects, and answers with its brokers.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let kafka: Promise<Kafka> | undefined;
  const start = async (): Promise<Kafka> => {
    await prepare((line) => console.log(`services: ${line}`));
    return startKafka();
  };
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    kafka ??= start();
    kafka.then(
      ({ brokers }) => socket.end(JSON.stringify({ brokers })),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  project.provide('sharedKafkaPort', (server.address() as net.AddressInfo).port);
  return async () => {
    server.close();
    // One that did not start was reported to those who asked for it.
    const started = await kafka?.catch(() => undefined);
    await started?.stop();
  };
}
