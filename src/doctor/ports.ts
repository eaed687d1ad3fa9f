/** Whether each listener could bind its address now. */
import { createServer } from 'node:net';
import type { SluiceConfig } from '../config/config.ts';
import { listenersOf } from '../config/listener-checks.ts';
import type { SluiceStatus } from '../status.ts';
import { fault, ok, type Finding } from './finding.ts';

/** `running`: the sluice of this data directory, where there is one: ports that it holds are its own. */
export async function portFindings(config: SluiceConfig, running: SluiceStatus | undefined): Promise<Finding[]> {
  const held = new Set(running?.listeners.map(({ port }) => port));
  return Promise.all(
    listenersOf(config).map(async ({ name, host, port }) => {
      const where = `${name}: ${host} port ${port}`;
      const code = await bindError(host, port);
      if (code === undefined) return ok('ports', port === 0 ? `${name}: any free port of ${host}` : `${where} is free`);
      if (code === 'EADDRINUSE' && held.has(port))
        return ok('ports', `${where} is held by the sluice that runs (pid ${running?.pid})`);
      return fault('ports', `${where}: ${words[code] ?? code}`, mends[code]?.(name, port) ?? otherwise(name));
    }),
  );
}

const words: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process uses it',
  EACCES: 'not permitted',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'no such host',
};

const mends: Readonly<Record<string, (name: string, port: number) => string>> = {
  EADDRINUSE: (name, port) =>
    `ss -ltnp 'sport = :${port}' shows which; stop it, or set listeners.${name}.port to a free one`,
  EACCES: (name) =>
    `ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in the systemd unit); or set listeners.${name}.port to a higher one`,
};

function otherwise(name: string): string {
  return `set listeners.${name}.host to an address of this machine, or to 0.0.0.0 for all`;
}

async function bindError(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  return new Promise((done) => {
    server.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    server.listen({ host, port }, () => server.close(() => done(undefined)));
  });
}
