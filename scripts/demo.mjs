// @ts-check
/**
 * `npm run demo`: a real Kafka (its own, unless KAFKA_BROKERS is set), sluice with its dashboard, a fleet of devices, some of which
 * misbehave. On a terminal keys stop and start Kafka and kill sluice; elsewhere sluice is killed in the middle. At the end every
 * acknowledged message is looked up in Kafka.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import mqtt from 'mqtt';
import { startMisbehaving } from './demo/misbehaving.mjs';
import { freePort, preferPort, prepare, startKafka, startRedis } from './services/index.mjs';

const help = `npm run demo [-- OPTIONS]
  --redis           buffer in Redis (REDIS_URL, or one of its own) instead of the embedded LevelDB
  --devices N       devices of the fleet (50)
  --rate N          messages per second of the fleet (2000)
  --seconds N       how long they publish (15; on a terminal: until q)
  --no-kill         do not kill sluice in the middle
  --keys            take keys from standard input where it is no terminal, too
  --help
KAFKA_BROKERS and REDIS_URL name services to use instead of starting them.`;

const { values: options } = parseArgs({
  options: {
    redis: { type: 'boolean', default: false },
    devices: { type: 'string', default: '50' },
    rate: { type: 'string', default: '2000' },
    seconds: { type: 'string' },
    keys: { type: 'boolean', default: false },
    'no-kill': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(help);
  process.exit(0);
}
const deviceCount = Number(options.devices);
const perSecond = Number(options.rate);
const live = process.stdout.isTTY === true;
const interactive = options.keys || (live && process.stdin.isTTY === true);
const seconds = Number(options.seconds ?? (interactive ? Infinity : 15));

/** Kafka may have gone while it is asked. */
const ASK_MS = 1_000;
/** The second that was last written, where there is no terminal to write over. */
let reported = -1;
const run = Date.now().toString(36);
const topic = `demo.telemetry.${run}`;
const directory = mkdtempSync(join(tmpdir(), 'sluice-demo-'));
/** @type {(() => unknown)[]} */
const cleanUp = [() => rmSync(directory, { recursive: true, force: true })];
process.once('SIGINT', () => void end(130));

/** Its own, which keys stop and start; undefined: it is somebody else's. */
let ownKafka;
let kafkaRuns = true;
let quitting = false;
/** The records that were in Kafka when it was last asked. */
let lastInKafka = 0;
const brokers = await kafkaBrokers();
const redisUrl = options.redis ? await redisAddress() : undefined;
const port = await freePort();
const dashboardPort = await preferPort(8080);

let sluice = await startSluice(true);
const fleet = connectFleet();
const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
const admin = kafka.admin();
await admin.connect();
cleanUp.push(() => admin.disconnect());
await admin.createTopics({ topics: [{ topic, numPartitions: 4 }], waitForLeaders: true });
cleanUp.push(startMisbehaving(port));

console.log(`\nThe dashboard: http://127.0.0.1:${dashboardPort}/`);
if (interactive) takeKeys();
console.log(
  `\n${deviceCount} devices publish ${perSecond} messages a second to devices/<id>/telemetry, QoS 1; three more misbehave\n`,
);
console.log('   time   published   acknowledged     in Kafka');
const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
let killed = options['no-kill'] || interactive;
while (elapsed() < seconds && !quitting) {
  publishDue();
  if (!killed && elapsed() > seconds / 2) {
    killed = true;
    await killSluice();
  }
  await report();
  await sleep(100);
}
await setKafka(true);
while (fleet.some((device) => device.acknowledged.length < device.published)) {
  await report();
  await sleep(200);
}
const count = await settled();
await report(true);

console.log('\nreading the topic back ...');
const verdict = await readBack(count);
console.log(`  ${verdict.records} records in ${topic}`);
console.log(`  ${total('acknowledged')} messages were acknowledged, ${verdict.lost} of them are missing in Kafka`);
console.log(
  `  ${verdict.reordered} out of order within a device; ${verdict.duplicates} duplicates (a crash may repeat what was in flight)`,
);
console.log(`\n  one of them:\n${verdict.sample}`);
await end(verdict.lost === 0 && verdict.reordered === 0 ? 0 : 1);

async function killSluice() {
  note(`kill -9 sluice (pid ${sluice.pid}) ...`);
  sluice.kill('SIGKILL');
  await once(sluice, 'exit');
  sluice = await startSluice(false);
  note('... and started again: devices reconnect and resend what was not acknowledged');
}

/** @param {string} text */
function note(text) {
  console.log(`${live ? '\r' : ''}          ${text.padEnd(60)}`);
}

/** @param {boolean} running */
async function setKafka(running) {
  if (ownKafka === undefined || running === kafkaRuns) return;
  kafkaRuns = running;
  note(running ? 'Kafka starts ...' : 'Kafka is killed: see the buffer fill, and nothing lost');
  await (running ? ownKafka.start() : ownKafka.kill());
  if (running) note('... and runs: see the buffer drain');
}

/** One at a time, in the order in which they were pressed. */
function takeKeys() {
  const kafkaKey = ownKafka === undefined ? '' : '  [k] stop and start Kafka';
  console.log(`Keys: ${kafkaKey}  [x] kill -9 sluice, and start it again  [q] end, and look everything up in Kafka`);
  let work = Promise.resolve();
  if (process.stdin.isTTY) process.stdin.setRawMode(true);
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (/** @type {string} */ keys) => {
    for (const key of keys) {
      if (key === 'k') work = work.then(() => setKafka(!kafkaRuns));
      else if (key === 'x') work = work.then(killSluice);
      else if (key === 'q' || key === '\u0003') work = work.then(() => void (quitting = true));
    }
  });
  cleanUp.push(() => {
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdin.pause();
  });
}

async function kafkaBrokers() {
  const given = process.env['KAFKA_BROKERS'];
  if (given !== undefined && given !== '') return given.split(',');
  await prepare((line) => console.log(line));
  console.log('starting Kafka ...');
  ownKafka = await startKafka();
  cleanUp.push(() => ownKafka.stop());
  return ownKafka.brokers;
}

async function redisAddress() {
  const given = process.env['REDIS_URL'];
  if (given !== undefined && given !== '') return given;
  await prepare((line) => console.log(line));
  const started = await startRedis();
  cleanUp.push(() => started.stop());
  return started.url;
}

/** @param {boolean} show its own words */
async function startSluice(show) {
  const settings = [
    `listeners.mqtt.port=${port}`,
    'listeners.ws=false',
    `listeners.http.port=${dashboardPort}`,
    `deadLetter.topic=demo.dead-letters.${run}`,
    'forward.retry.max=1s',
    `kafka.brokers=${brokers.join(',')}`,
    `buffer.path=${join(directory, 'data')}`,
    'log.level=error',
    ...(redisUrl === undefined ? [] : ['buffer.store=redis', `buffer.url=${redisUrl}`, `buffer.namespace=${topic}`]),
  ];
  // Routes are given by a file. JSON is YAML.
  const file = join(directory, 'sluice.yaml');
  const routes = [
    { name: 'telemetry', from: 'devices/{deviceId}/telemetry', to: topic, key: '{deviceId}' },
    { name: 'events', from: 'devices/{deviceId}/events', to: `demo.events.${run}`, value: 'json' },
  ];
  writeFileSync(file, JSON.stringify({ routes }));
  const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
  const child = spawn(
    process.execPath,
    [main, 'start', '-c', file, ...settings.flatMap((setting) => ['--set', setting])],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: directory,
    },
  );
  let said = '';
  child.stdout.setEncoding('utf8');
  await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`sluice ended with code ${code}`)));
    child.stdout.on('data', (part) => {
      said += part;
      if (said.includes('kafka      ')) resolve(undefined);
    });
  });
  child.removeAllListeners('exit');
  if (show) console.log(`\n${said.trimEnd()}`);
  return child;
}

function connectFleet() {
  return Array.from({ length: deviceCount }, (_, index) => {
    const id = `sensor-${index}`;
    const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { clientId: id, clean: false, reconnectPeriod: 300 });
    client.on('error', () => {});
    cleanUp.push(() => client.end(true));
    return { id, client, published: 0, /** @type {number[]} */ acknowledged: [] };
  });
}

function publishDue() {
  const due = Math.floor((elapsed() * perSecond) / deviceCount);
  for (const device of fleet) {
    while (device.published < due && device.published - device.acknowledged.length < 100) {
      const sequence = device.published++;
      const payload = JSON.stringify({ sequence, celsius: (20 + 5 * Math.sin(sequence / 20)).toFixed(2) });
      device.client.publish(`devices/${device.id}/telemetry`, payload, { qos: 1 }, (error) => {
        if (!error) device.acknowledged.push(sequence);
      });
    }
  }
}

/** @param {'published' | 'acknowledged'} what */
function total(what) {
  return fleet.reduce((sum, device) => sum + (what === 'published' ? device.published : device.acknowledged.length), 0);
}

/** What is known: while it is away nothing is asked of it. */
async function inKafka() {
  if (!kafkaRuns) return lastInKafka;
  const asked = admin.fetchTopicOffsets(topic).then(
    (offsets) => (lastInKafka = offsets.reduce((sum, { high }) => sum + Number(high), 0)),
    () => lastInKafka,
  );
  return Promise.race([asked, sleep(ASK_MS, undefined).then(() => lastInKafka)]);
}

async function report(last = false) {
  const second = Math.floor(elapsed());
  if (!last && !live && second === reported) return;
  reported = second;
  const columns = [total('published'), total('acknowledged'), await inKafka()];
  const line = `${elapsed().toFixed(1).padStart(6)}s ${columns.map((value) => value.toLocaleString('en-US').padStart(12)).join(' ')}`;
  process.stdout.write(live && !last ? `\r${line}` : `${live ? '\r' : ''}${line}\n`);
}

/** Waits until everything acknowledged is in Kafka and nothing more comes; gives the number of records. */
async function settled() {
  const end = performance.now() + 60_000;
  let before = -1;
  for (;;) {
    const now = await inKafka();
    if ((now >= total('acknowledged') && now === before) || performance.now() > end) return now;
    before = now;
    await sleep(500);
  }
}

/** @param {number} expected */
async function readBack(expected) {
  const consumer = kafka.consumer({ groupId: `demo-${process.pid}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const seen = new Map(fleet.map(({ id }) => [id, { sequences: new Set(), last: -1 }]));
  const found = { records: 0, lost: 0, reordered: 0, duplicates: 0, sample: '' };
  await new Promise((resolve) => {
    if (expected === 0) resolve(undefined);
    void consumer.run({
      eachMessage: async ({ message, partition }) => {
        found.records++;
        const device = seen.get(String(message.key));
        const { sequence } = JSON.parse(String(message.value));
        if (device?.sequences.has(sequence)) found.duplicates++;
        else if (device !== undefined) {
          device.sequences.add(sequence);
          if (sequence < device.last) found.reordered++;
          else device.last = sequence;
        }
        if (found.sample === '') {
          const headers = Object.entries(message.headers ?? {}).map(
            ([name, value]) => `      ${name}: ${String(value)}`,
          );
          found.sample = `    partition ${partition}, key ${String(message.key)}, value ${String(message.value)}\n${headers.join('\n')}`;
        }
        if (found.records >= expected) resolve(undefined);
      },
    });
  });
  await consumer.disconnect();
  for (const device of fleet) {
    for (const sequence of device.acknowledged) if (!seen.get(device.id)?.sequences.has(sequence)) found.lost++;
  }
  return found;
}

/** @param {number} code */
async function end(code) {
  const stopped = once(sluice, 'exit');
  if (sluice.exitCode === null && sluice.signalCode === null) {
    sluice.kill('SIGTERM');
    await stopped;
  }
  for (const task of cleanUp.reverse()) await task();
  process.exit(code);
}
