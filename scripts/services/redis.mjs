import { mkdir } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { serviceProcess } from './child.mjs';
import { makeRunDirectory } from './directories.mjs';
import { freePort } from './ports.mjs';

const PING_TIMEOUT_MS = 1_000;

/** Ready when it answers PING; one that asks for a password first is ready too, one that still loads its data is not. */
function answersPing(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    const finish = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(PING_TIMEOUT_MS, () => finish(false));
    socket.on('error', () => finish(false));
    socket.on('close', () => resolve(false));
    socket.on('data', (data) => finish(data.toString().startsWith('+PONG') || data.toString().startsWith('-NOAUTH')));
    socket.write('PING\r\n');
  });
}

/**
 * A Redis server as sluice wants it: append-only file synced before every answer, no eviction.
 * See index.d.mts for the options and the handle.
 */
export async function startRedis({ port: wanted, directory, config = {} } = {}) {
  const dir = directory ?? (await makeRunDirectory('redis'));
  await mkdir(dir, { recursive: true });
  const port = wanted ?? (await freePort());
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    daemonize: 'no',
    save: '',
    appendonly: 'yes',
    appendfsync: 'always',
    'maxmemory-policy': 'noeviction',
    ...config,
  };
  const logFile = path.join(dir, 'redis.log');
  const service = serviceProcess({
    name: 'Redis',
    command: 'redis-server',
    args: Object.entries(settings).flatMap(([name, value]) => [
      `--${name}`,
      ...(value === '' ? [''] : String(value).split(' ')),
    ]),
    cwd: dir,
    logFile,
    isReady: () => answersPing(port),
  });
  await service.start();
  const credentials = config.requirepass === undefined ? '' : `:${encodeURIComponent(config.requirepass)}@`;
  return Object.assign(service, { url: `redis://${credentials}127.0.0.1:${port}`, port, dir, logFile });
}
