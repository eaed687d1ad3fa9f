import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BrokerConnection } from '../../src/kafka/connection.ts';
import { kafkaSettings } from '../../src/kafka/options.ts';
import { Metadata } from '../../src/kafka/protocol.ts';
import { Wire } from '../../src/kafka/wire.ts';
import { sharedKafka } from '../support/services.ts';

describe('a connection', () => {
  const servers: net.Server[] = [];
  let brokers: string[];
  beforeAll(async () => {
    ({ brokers } = await sharedKafka());
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  /** Takes connections and never says a word. */
  async function silentServer(): Promise<number> {
    const server = net.createServer((socket) => socket.on('error', () => {}));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  const connect = (
    host: string,
    port: number,
    options: { requestTimeoutMs?: number; connectionTimeoutMs?: number } = {},
  ): BrokerConnection => new BrokerConnection(host, port, new Wire(kafkaSettings({ brokers, ...options }), () => {}));

  it('opens by itself, once for all requests that wait, and again after it was closed by the other side', async () => {
    let accepted = 0;
    const sockets = new Set<net.Socket>();
    const [host, port] = (brokers[0] as string).split(':') as [string, string];
    const server = net.createServer((socket) => {
      accepted++;
      const upstream = net.connect(Number(port), host);
      sockets.add(socket).add(upstream);
      socket.pipe(upstream).pipe(socket);
      for (const each of [socket, upstream]) each.on('error', () => {});
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const connection = connect('127.0.0.1', (server.address() as AddressInfo).port);
    const answers = await Promise.all([1, 2, 3].map(() => connection.request(Metadata, [])));
    expect(answers.map(({ brokers }) => brokers.length)).toEqual([1, 1, 1]);
    expect(accepted).toBe(1);
    for (const socket of sockets) socket.destroy();
    const failures = await Promise.allSettled([connection.request(Metadata, [])]);
    expect((await connection.request(Metadata, [])).brokers).toHaveLength(1);
    expect(accepted, JSON.stringify(failures)).toBe(2);
    connection.close();
    await expect(connection.request(Metadata, [])).rejects.toMatchObject({ scope: 'cluster', reason: 'CLOSED' });
    for (const socket of sockets) socket.destroy();
  });

  it('fails within its timeouts where nobody answers', async () => {
    const connection = connect('127.0.0.1', await silentServer(), { connectionTimeoutMs: 100, requestTimeoutMs: 100 });
    await expect(connection.request(Metadata, [])).rejects.toMatchObject({
      scope: 'cluster',
      reason: 'CONNECTION_FAILED',
    });
    expect(connection.connected).toBe(false);
    connection.close();
  });

  it('keeps to a deadline that is shorter than its request timeout', async () => {
    const connection = connect('127.0.0.1', await silentServer(), { connectionTimeoutMs: 60_000 });
    await expect(connection.request(Metadata, [], 50)).rejects.toMatchObject({ reason: 'REQUEST_TIMEOUT' });
    expect(connection.failed).toBe(true);
    connection.close();
  });

  it('sets no timer again and again while nothing is pending (kafkajs#1704)', async () => {
    const connection = connect(...addressOf(brokers));
    await connection.request(Metadata, []);
    const original = globalThis.setTimeout;
    let timers = 0;
    globalThis.setTimeout = ((...args: Parameters<typeof original>) => {
      timers++;
      return original(...args);
    }) as typeof original;
    try {
      await new Promise((resolve) => original(resolve, 100));
    } finally {
      globalThis.setTimeout = original;
    }
    // kafkajs as it is: about a hundred.
    expect(timers).toBeLessThan(5);
    connection.close();
  });
});

function addressOf([broker]: string[]): [string, number] {
  const [host, port] = (broker as string).split(':') as [string, string];
  return [host, Number(port)];
}
