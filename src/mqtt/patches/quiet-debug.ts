/**
 * mqtt-packet 9 calls debug() several times for each packet it parses or writes. A logger that is off costs an argument array
 * and two look-ups each time: about 5% of the CPU of bare aedes, and more of what is left here (measured). Loggers that are off
 * when they are made become empty functions; DEBUG=mqtt-packet* works as before. Imported before aedes: mqtt-packet makes its
 * loggers when it is loaded.
 */
import { createRequire } from 'node:module';

interface Logger {
  (...args: unknown[]): void;
  enabled: boolean;
  extend(): Logger;
}
type MakeLogger = ((namespace: string) => Logger) & Record<string, unknown>;

const fromHere = createRequire(import.meta.url);
const fromPacket = createRequire(createRequire(fromHere.resolve('aedes')).resolve('mqtt-packet'));
const path = fromPacket.resolve('debug');
const real = fromPacket('debug') as MakeLogger;
const cached = fromPacket.cache[path];
if (cached !== undefined) cached.exports = Object.assign((namespace: string) => quiet(real(namespace)), real);

function quiet(logger: Logger): Logger {
  if (logger.enabled) return logger;
  const silent = Object.assign(() => {}, { enabled: false, extend: () => silent });
  return silent;
}
