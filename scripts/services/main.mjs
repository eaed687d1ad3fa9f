#!/usr/bin/env node
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { preferPort, prepare, repository, startKafka, startRedis } from './index.mjs';

const USAGE = `node scripts/services/main.mjs prepare   installs and downloads what the services need
node scripts/services/main.mjs start     runs Kafka and Redis until Ctrl-C or stop
node scripts/services/main.mjs stop      stops what start runs in this clone
`;

const pidFile = path.join(repository, '.services', 'main.pid');

const say = (line) => console.log(`services: ${line}`);

/** Addresses given in KAFKA_BROKERS and REDIS_URL are used as they are; nothing is started in their place. */
async function start() {
  const { KAFKA_BROKERS: brokers, REDIS_URL: redisUrl } = process.env;
  if (!brokers || !redisUrl) await prepare(say);
  const redis = redisUrl ? undefined : await startRedis({ port: await preferPort(6379) });
  const kafka = brokers ? undefined : await startKafka({ ports: [await preferPort(9092)] });
  say(`Kafka  ${brokers ?? kafka.brokers.join(',')}${kafka ? `  (log ${kafka.nodes[0].logFile})` : '  (yours)'}`);
  say(`Redis  ${redisUrl ?? redis.url}${redis ? `  (log ${redis.logFile})` : '  (yours)'}`);
  if (kafka === undefined && redis === undefined) return;
  await mkdir(path.dirname(pidFile), { recursive: true });
  await writeFile(pidFile, String(process.pid));
  say('running; Ctrl-C stops them and removes their data');

  const timer = setInterval(() => {}, 1 << 30);
  await new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, resolve);
  });
  clearInterval(timer);
  say('stopping');
  await rm(pidFile, { force: true });
  await Promise.all([kafka?.stop(), redis?.stop()]);
  for (const { dir } of [kafka, redis].filter(Boolean)) await rm(dir, { recursive: true, force: true });
}

async function stop() {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => '0'));
  try {
    if (pid > 0) process.kill(pid, 'SIGTERM');
    say(pid > 0 ? `asked process ${pid} to stop` : 'nothing runs');
  } catch {
    await rm(pidFile, { force: true });
    say('nothing runs');
  }
}

const commands = { prepare: () => prepare(say), start, stop };
const command = commands[process.argv[2]];
if (command === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else {
  try {
    await command();
    if (process.argv[2] === 'prepare') say('everything is there');
  } catch (error) {
    process.stderr.write(`services: ${error.message}\n`);
    process.exitCode = 1;
  }
}
