/** Kafka: is the way to it open, are we let in, and may the topics be written? */
import { connect } from 'node:net';
import type { SluiceConfig } from '../config/config.ts';
import { errorText } from '../errors.ts';
import { kafkaOptions } from '../kafka-options.ts';
import { unwritableTopics } from '../kafka/authorization.ts';
import { inspectTopics, type TopicReport } from '../kafka/durability.ts';
import { constantTopics } from '../routes/index.ts';
import { fault, ok, warning, type Finding } from './finding.ts';

const CONNECT_TIMEOUT_MS = 3_000;

export async function kafkaFindings({ kafka, routes, deadLetter }: SluiceConfig): Promise<Finding[]> {
  const ways = await Promise.all(
    kafka.brokers.map(async (address) => ({ address, error: await connectError(address) })),
  );
  const open = ways.filter(({ error }) => error === undefined);
  const findings = ways.flatMap(({ address, error }) => {
    if (error === undefined) return [];
    const what = `nobody answers at ${address}: ${error}`;
    return [
      open.length === 0
        ? fault('kafka', what, 'start Kafka, open the way to it (firewall, DNS), or correct kafka.brokers')
        : warning('kafka', what, 'one broker less to ask at the start: start it, or take it out of kafka.brokers'),
    ];
  });
  if (open.length === 0) return findings;
  const topics = [...new Set([...constantTopics(routes), deadLetter.topic])];
  try {
    const options = kafkaOptions(kafka);
    const reports = await inspectTopics(options, topics);
    const present = reports.filter(({ state }) => state === 'present').map(({ topic }) => topic);
    const unwritable = await unwritableTopics(options, present).catch(() => []);
    findings.push(ok('kafka', `${open.map(({ address }) => address).join(', ')} answer, and let us in`));
    findings.push(...reports.flatMap((report) => topicFindings(report, kafka.createTopics.enabled, unwritable)));
  } catch (error) {
    findings.push(fault('kafka', `Kafka does not let us in: ${errorText(error)}`, mend(errorText(error))));
  }
  return findings;
}

function topicFindings(report: TopicReport, mayCreate: boolean, unwritable: readonly string[]): Finding[] {
  const { topic, state, weak } = report;
  switch (state) {
    case 'present': {
      const findings = weak.map((text) => warning('kafka', text, 'kafka-configs and kafka-topics change it'));
      if (unwritable.includes(topic))
        return [
          fault(
            'kafka',
            `topic ${topic} may not be written`,
            `grant Write: kafka-acls --add --producer --topic ${topic}`,
          ),
          ...findings,
        ];
      const { partitions, replicationFactor } = report;
      return [ok('kafka', `topic ${topic}: ${partitions} partitions, ${replicationFactor} replicas`), ...findings];
    }
    case 'missing':
      return mayCreate
        ? [ok('kafka', `topic ${topic} does not exist yet: its first record creates it`)]
        : [
            fault(
              'kafka',
              `topic ${topic} does not exist`,
              'create it, or allow sluice to: kafka.createTopics.enabled',
            ),
          ];
    case 'unauthorized':
      return [
        fault(
          'kafka',
          `topic ${topic}: sluice may not look at it`,
          `grant Describe and Write: kafka-acls --add --producer --topic ${topic}`,
        ),
      ];
    case 'failed':
      return [
        warning(
          'kafka',
          weak[0] ?? `topic ${topic} cannot be looked at`,
          'look again in a minute; then at the brokers',
        ),
      ];
  }
}

function mend(text: string): string {
  if (/SASL|authentication/i.test(text)) return 'correct kafka.sasl: mechanism, user name and password';
  if (/certificate|TLS|SSL|ECONNRESET|closed|timeout/i.test(text))
    return 'is TLS on at one end only? kafka.tls: {} speaks it; kafka.tls.ca names the authority of the brokers';
  return 'look at the log of the brokers';
}

function connectError(address: string): Promise<string | undefined> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  return new Promise((done) => {
    const socket = connect({ host, port: Number(address.slice(at + 1)), timeout: CONNECT_TIMEOUT_MS });
    const end = (error: string | undefined): void => {
      socket.destroy();
      done(error);
    };
    socket.once('connect', () => end(undefined));
    socket.once('timeout', () => end(`not within ${CONNECT_TIMEOUT_MS / 1_000} s`));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
