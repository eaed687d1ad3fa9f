import { randomBytes } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { serviceProcess } from './child.mjs';
import { makeRunDirectory } from './directories.mjs';
import { FAST_START, java, kafkaHome } from './kafka-libraries.mjs';
import { formatStorage, serverProperties } from './kafka-properties.mjs';
import { freePort } from './ports.mjs';

const ADMIN_TIMEOUT_MS = 30_000;
const ADMIN_ATTEMPTS = 8;
const CONNECT_TIMEOUT_MS = 500;
const LEADERS_TIMEOUT_MS = 30_000;
const LEADERS_POLL_MS = 50;

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', timeout: CONNECT_TIMEOUT_MS });
    const finish = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => finish(true));
    socket.once('timeout', () => finish(false));
    socket.once('error', () => finish(false));
  });
}

async function withAdmin(brokers, task, retries = ADMIN_ATTEMPTS) {
  const admin = new kafkajs.Kafka({
    clientId: 'sluice-services',
    brokers,
    logLevel: kafkajs.logLevel.NOTHING,
    requestTimeout: ADMIN_TIMEOUT_MS,
    retry: { retries, initialRetryTime: 100, maxRetryTime: 1_000 },
  }).admin();
  try {
    await admin.connect();
    return await task(admin);
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

/**
 * Every partition has a leader. In place of kafkajs' `waitForLeaders`, which gives up where a broker has not heard of the new
 * topic yet (UNKNOWN_TOPIC_OR_PARTITION): it has to be asked again.
 */
async function untilLed(admin, topic, partitions) {
  const end = performance.now() + LEADERS_TIMEOUT_MS;
  for (;;) {
    const found = await admin.fetchTopicMetadata({ topics: [topic] }).catch((error) => ({ topics: [], error }));
    const led = found.topics[0]?.partitions.filter(({ leader }) => leader >= 0).length ?? 0;
    if (led >= partitions) return;
    if (performance.now() > end) throw found.error ?? new Error(`${topic} has no leaders`);
    await sleep(LEADERS_POLL_MS);
  }
}

/** True once the node itself is in the cluster's metadata, so that it can be given partitions. */
async function isMember({ id, internalPort }) {
  if (!(await accepts(internalPort))) return false;
  try {
    const { brokers } = await withAdmin([`127.0.0.1:${internalPort}`], (admin) => admin.describeCluster(), 0);
    return brokers.some((broker) => broker.nodeId === id);
  } catch {
    return false;
  }
}

async function layOut(node, cluster, options, home) {
  await mkdir(node.dataDirectory, { recursive: true });
  await writeFile(node.propertiesFile, serverProperties(node, cluster, options));
  if (Object.keys(options.users ?? {}).length > 0) {
    await formatStorage(home, node, cluster, options.users);
    return;
  }
  // What `kafka-storage format` writes, without starting a JVM for it.
  await cp(path.join(home, 'bootstrap.checkpoint'), path.join(node.dataDirectory, 'bootstrap.checkpoint'));
  const meta = [`cluster.id=${cluster.id}`, `directory.id=${directoryId()}`, `node.id=${node.id}`, 'version=1', ''];
  await writeFile(path.join(node.dataDirectory, 'meta.properties'), meta.join('\n'));
}

/** A Kafka UUID; the first byte of its text must not be a dash. */
function directoryId() {
  const text = randomBytes(16).toString('base64url');
  return text.startsWith('-') ? directoryId() : text;
}

async function planNode(index, directory, options) {
  const home = path.join(directory, `node-${index + 1}`);
  const port = options.ports?.[index] ?? (await freePort());
  return {
    id: index + 1,
    port,
    advertisedPort: options.advertisedPorts?.[index] ?? port,
    internalPort: await freePort(),
    controllerPort: await freePort(),
    saslPort: options.users === undefined ? undefined : await freePort(),
    tlsPort: options.tls === undefined ? undefined : await freePort(),
    directory: home,
    dataDirectory: path.join(home, 'data'),
    propertiesFile: path.join(home, 'server.properties'),
    logFile: path.join(home, 'kafka.log'),
  };
}

/** Administration of a Kafka that runs already. */
export function connectKafka(brokers) {
  const admin = (task) => withAdmin(brokers, task);
  return {
    brokers,
    admin,
    async createTopic(topic, partitions = 1, { replicationFactor = -1, config = {} } = {}) {
      const configEntries = Object.entries(config).map(([name, value]) => ({ name, value: String(value) }));
      const topics = [{ topic, numPartitions: partitions, replicationFactor, configEntries }];
      const made = await admin((client) =>
        client.createTopics({ waitForLeaders: false, timeout: ADMIN_TIMEOUT_MS, topics }),
      );
      if (!made) throw new Error(`the topic ${topic} is there already`);
      await admin((client) => untilLed(client, topic, partitions));
    },
    deleteTopic: (topic) => admin((client) => client.deleteTopics({ topics: [topic] })),
  };
}

/**
 * A real Kafka of one or more nodes in KRaft mode, each both broker and controller.
 * See index.d.mts for the options and the handle.
 */
export async function startKafka(options = {}) {
  const home = await kafkaHome(options.say);
  const directory = options.directory ?? (await makeRunDirectory('kafka'));
  const count = options.nodes ?? 1;
  const plans = [];
  for (let index = 0; index < count; index += 1) plans.push(await planNode(index, directory, options));
  const cluster = { id: directoryId(), nodes: plans };

  const jvm = options.jvmOptions ?? ['-Xms128m', `-Xmx${count > 1 ? 384 : 512}m`, ...FAST_START];
  const nodes = [];
  for (const plan of plans) {
    await layOut(plan, cluster, options, home);
    const service = serviceProcess({
      name: count > 1 ? `Kafka node ${plan.id}` : 'Kafka',
      command: java(),
      args: [
        ...jvm,
        '-Djava.awt.headless=true',
        `-Dlog4j2.configurationFile=${path.join(home, 'log4j2.properties')}`,
        '-cp',
        `${home}/libs/*`,
        'kafka.Kafka',
        plan.propertiesFile,
      ],
      cwd: plan.directory,
      logFile: plan.logFile,
      isReady: () => isMember(plan),
    });
    nodes.push(
      Object.assign(service, {
        id: plan.id,
        port: plan.port,
        dir: plan.directory,
        logFile: plan.logFile,
      }),
    );
  }
  const all = (operation) => Promise.all(nodes.map((node) => node[operation]())).then(() => {});

  try {
    await all('start');
  } catch (error) {
    await all('kill');
    throw error;
  }

  const addresses = (name) => plans.filter((plan) => plan[name] !== undefined).map((plan) => `127.0.0.1:${plan[name]}`);
  const directBrokers = addresses('internalPort');
  return {
    directBrokers,
    saslBrokers: addresses('saslPort'),
    tlsBrokers: addresses('tlsPort'),
    nodes,
    dir: directory,
    ...connectKafka(directBrokers),
    brokers: addresses('advertisedPort'),
    start: () => all('start'),
    stop: () => all('stop'),
    kill: (signal = 'SIGKILL') => Promise.all(nodes.map((node) => node.kill(signal))).then(() => {}),
    pause: () => nodes.forEach((node) => node.pause()),
    resume: () => nodes.forEach((node) => node.resume()),
    async restart() {
      await all('stop');
      await all('start');
    },
  };
}
