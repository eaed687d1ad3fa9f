import { kafkaHome } from './kafka-libraries.mjs';
import { ensurePrerequisites, tools } from './prerequisites.mjs';

export { cacheDirectory, makeRunDirectory, repository } from './directories.mjs';
export { connectKafka, startKafka } from './kafka.mjs';
export { startMosquitto } from './mosquitto.mjs';
export { freePort, preferPort } from './ports.mjs';
export { startRedis } from './redis.mjs';
export { startRegistry } from './registry.mjs';

/** Fetches and installs what startKafka and startRedis need; quick when everything is there. */
export async function prepare(say) {
  await ensurePrerequisites(say);
  await kafkaHome(say);
}

/** Why a program that only some tests need cannot be had here; undefined: it is there, or was just installed. */
export async function whyWithout(tool, say) {
  return ensurePrerequisites(say, [tools[tool]]).then(
    () => undefined,
    (error) => error.message,
  );
}
