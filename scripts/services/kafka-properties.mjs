import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { FAST_START, java } from './kafka-libraries.mjs';

const run = promisify(execFile);

/**
 * Three listeners: CLIENT is what clients are told of (a test may put a proxy in front and advertise that), INTERNAL is
 * for the nodes themselves and for tools that must see behind such a proxy, CONTROLLER is KRaft's. SASL and TLS come on
 * top of them where asked for.
 */
function listeners(node) {
  return [
    { name: 'CLIENT', protocol: 'PLAINTEXT', port: node.port, advertised: node.advertisedPort },
    { name: 'INTERNAL', protocol: 'PLAINTEXT', port: node.internalPort, advertised: node.internalPort },
    { name: 'CONTROLLER', protocol: 'PLAINTEXT', port: node.controllerPort },
    { name: 'SASL', protocol: 'SASL_PLAINTEXT', port: node.saslPort, advertised: node.saslPort },
    { name: 'TLS', protocol: 'SSL', port: node.tlsPort, advertised: node.tlsPort },
  ].filter((listener) => listener.port !== undefined);
}

function sasl(users) {
  const names = Object.entries(users);
  const plain = names.map(([name, password]) => `user_${name}="${password}"`).join(' ');
  const of = (mechanism) => `listener.name.sasl.${mechanism}.sasl.jaas.config`;
  const module = (name, rest = '') => `org.apache.kafka.common.security.${name} required ${rest};`;
  return {
    'listener.name.sasl.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    [of('plain')]: module('plain.PlainLoginModule', plain),
    [of('scram-sha-256')]: module('scram.ScramLoginModule'),
    [of('scram-sha-512')]: module('scram.ScramLoginModule'),
    // Takes any unsecured token (`alg: none`) that has not expired: enough to prove that a client sends one.
    [of('oauthbearer')]: module('oauthbearer.OAuthBearerLoginModule', 'unsecuredLoginStringClaim_sub="sluice"'),
  };
}

const tls = ({ cert, key, ca }) => ({
  'listener.name.tls.ssl.keystore.type': 'PEM',
  'listener.name.tls.ssl.keystore.certificate.chain': pem(cert),
  'listener.name.tls.ssl.keystore.key': pem(key),
  'listener.name.tls.ssl.truststore.type': 'PEM',
  'listener.name.tls.ssl.truststore.certificates': pem(ca),
});

/** A PEM text as one line of a properties file. */
const pem = (text) => text.trim().split(/\r?\n/).join('\\n');

/** The content of server.properties for one node. Small threads and buffers: it shares two cores with the tests. */
export function serverProperties(node, cluster, options) {
  const own = listeners(node);
  const replicas = Math.min(3, cluster.nodes.length);
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': cluster.nodes
      .map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`)
      .join(','),
    listeners: own.map(({ name, port }) => `${name}://127.0.0.1:${port}`).join(','),
    'advertised.listeners': own
      .filter(({ advertised }) => advertised !== undefined)
      .map(({ name, advertised }) => `${name}://127.0.0.1:${advertised}`)
      .join(','),
    'listener.security.protocol.map': own.map(({ name, protocol }) => `${name}:${protocol}`).join(','),
    'inter.broker.listener.name': 'INTERNAL',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': node.dataDirectory,
    'auto.create.topics.enable': false,
    'num.partitions': 1,
    'default.replication.factor': replicas,
    'min.insync.replicas': replicas > 1 ? 2 : 1,
    'offsets.topic.num.partitions': 1,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': replicas > 1 ? 2 : 1,
    'share.coordinator.state.topic.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': replicas > 1 ? 2 : 1,
    'group.initial.rebalance.delay.ms': 0,
    // A node that was killed may come back once its old session has ended; the default lets tests wait for 9 s.
    'broker.session.timeout.ms': 4_000,
    'broker.heartbeat.interval.ms': 500,
    'num.network.threads': 2,
    'num.io.threads': 2,
    'background.threads': 2,
    'num.replica.fetchers': 1,
    'log.cleaner.dedupe.buffer.size': 8 * 1024 * 1024,
    ...(options.users === undefined ? {} : sasl(options.users)),
    ...(options.tls === undefined ? {} : tls(options.tls)),
    ...options.properties,
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** SCRAM users are part of the storage's first records, so this one needs Kafka's own tool. */
export async function formatStorage(home, node, cluster, users) {
  const scram = Object.entries(users).flatMap(([name, password]) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${name},password=${password}]`,
    ]),
  );
  const format = ['kafka.tools.StorageTool', 'format', '-t', cluster.id, '-c', node.propertiesFile, ...scram];
  await run(java(), [...FAST_START, '-cp', `${home}/libs/*`, ...format]);
}
