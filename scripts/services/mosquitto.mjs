import { access, constants, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { serviceProcess } from './child.mjs';
import { makeRunDirectory } from './directories.mjs';
import { freePort } from './ports.mjs';

/** Debian puts it where only root looks for programs. */
export const mosquittoCommands = ['mosquitto', '/usr/sbin/mosquitto'];

async function command() {
  const [inPath, absolute] = mosquittoCommands;
  return access(absolute, constants.X_OK).then(
    () => absolute,
    () => inPath,
  );
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * Another MQTT broker, to compare with: in memory, on a port of its own, with everything allowed.
 * See index.d.mts for the options and the handle.
 */
export async function startMosquitto({ port: wanted, settings = {} } = {}) {
  const dir = await makeRunDirectory('mosquitto');
  const port = wanted ?? (await freePort());
  const lines = { listener: `${port} 127.0.0.1`, allow_anonymous: 'true', persistence: 'false', ...settings };
  const file = path.join(dir, 'mosquitto.conf');
  await writeFile(
    file,
    Object.entries(lines)
      .map(([name, value]) => `${name} ${value}\n`)
      .join(''),
  );
  const logFile = path.join(dir, 'mosquitto.log');
  const service = serviceProcess({
    name: 'mosquitto',
    command: await command(),
    args: ['-c', file],
    cwd: dir,
    logFile,
    isReady: () => accepts(port),
  });
  await service.start();
  return Object.assign(service, { port, dir, logFile });
}
