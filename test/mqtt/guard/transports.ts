import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { WebSocket } from 'ws';
import { makeCertificates } from '../../../src/cli/certs.ts';
import { startListeners } from '../../../src/mqtt/listeners/listeners.ts';
import { afterTest, start } from '../support/harness.ts';
import type { TestBroker } from '../support/test-broker.ts';

export const transports = ['TCP', 'TLS', 'WebSocket'] as const;
export type Transport = (typeof transports)[number];

const host = '127.0.0.1';
const LISTENERS = { TCP: 'mqtt', TLS: 'mqtts', WebSocket: 'ws' } as const;

/** A broker behind the real listener of this transport. */
export async function serve(transport: Transport): Promise<TestBroker> {
  const test = await start();
  const at = { host, port: 0 };
  const certificates = await mkdtemp(path.join(tmpdir(), 'sluice-guard-'));
  afterTest(() => rm(certificates, { recursive: true, force: true }));
  if (transport === 'TLS') await makeCertificates({ directory: certificates, clients: [] });
  const file = (name: string): string => path.join(certificates, name);
  const listeners = await startListeners(
    {
      ...(transport === 'TCP' ? { mqtt: at } : {}),
      ...(transport === 'TLS'
        ? { mqtts: { ...at, tls: { cert: file('server.crt'), key: file('server.key'), clientCertificate: 'none' } } }
        : {}),
      ...(transport === 'WebSocket' ? { ws: { ...at, path: '/mqtt', origins: [] } } : {}),
    },
    (stream, info) => test.broker.handle(stream, info),
    {
      limits: { connections: 1_000, maxPacketSizeBytes: 262_144, connectTimeoutMs: 10_000 },
      clientFault: () => undefined,
      fault: () => undefined,
    },
  );
  afterTest(() => listeners.close());
  const port = listeners.listening.find(({ name }) => name === LISTENERS[transport])?.port ?? 0;
  return { ...test, port };
}

/** Sends these bytes at once, and resolves with all that comes until the server closes; undefined: it does not in time. */
export function exchange(
  transport: Transport,
  port: number,
  bytes: Buffer,
  timeoutMs: number,
): Promise<Buffer | undefined> {
  const received: Buffer[] = [];
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      close();
      resolve(undefined);
    }, timeoutMs);
    const closed = (): void => {
      clearTimeout(timer);
      resolve(Buffer.concat(received));
    };
    let close: () => void;
    if (transport === 'WebSocket') {
      const socket = new WebSocket(`ws://${host}:${port}/mqtt`, 'mqtt');
      socket.on('open', () => socket.send(bytes));
      socket.on('message', (data: Buffer) => received.push(data));
      socket.on('error', () => undefined);
      socket.on('close', closed);
      close = () => socket.terminate();
    } else {
      const send = (): void => void socket.write(bytes);
      const socket: net.Socket =
        transport === 'TLS'
          ? tls.connect({ port, host, rejectUnauthorized: false }, send)
          : net.connect({ port, host, noDelay: true }, send);
      socket.on('data', (data) => received.push(data));
      socket.on('error', () => undefined);
      socket.on('close', closed);
      close = () => socket.destroy();
    }
  });
}
