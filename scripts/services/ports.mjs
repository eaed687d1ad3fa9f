import net from 'node:net';

/**
 * Below the range from which systems draw the ports of outgoing connections (Linux: 32768 and up), so that a stopped
 * service finds its port still free when it is started again.
 */
const FIRST = 20_000;
const LAST = 31_999;
const given = new Set();

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A TCP port of 127.0.0.1 that nobody listens on and that this process has not been given before. */
export async function freePort() {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (given.has(port)) continue;
    if (!(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST}`);
}

/** `port` if nobody listens on it, else any free one. */
export async function preferPort(port) {
  return (await isFree(port)) ? port : freePort();
}
