/** Puts the downlinks together: Kafka on the one side, the broker on the other. */
import type { DownlinkConfig, SluiceConfig } from './config/config.ts';
import { Downlink, type Subscribers } from './downlink/downlink.ts';
import { compileDownlink, topicsOf } from './downlink/mapping.ts';
import { kafkaOptions } from './kafka-options.ts';
import { createConsumer } from './kafka/consumer.ts';
import type { KafkaLog } from './kafka/options.ts';
import { createSingleRecords } from './kafka/single-records.ts';
import type { Logger } from './observe/log.ts';
import type { Report } from './report.ts';
import type { DownlinkStatus } from './status.ts';

interface Running {
  readonly config: DownlinkConfig;
  readonly downlink: Downlink;
}

export class Downlinks {
  readonly #running: readonly Running[];
  #stopping: Promise<unknown> | undefined;

  private constructor(running: readonly Running[]) {
    this.#running = running;
  }

  static start(config: SluiceConfig, subscribers: Subscribers, log: Logger, report: Report): Downlinks {
    const running = config.downlinks.map((each) => ({
      config: each,
      downlink: makeDownlink(each, config, subscribers, log, report),
    }));
    for (const { downlink } of running) downlink.start();
    return new Downlinks(running);
  }

  stop(): Promise<unknown> {
    return (this.#stopping ??= Promise.allSettled(this.#running.map(({ downlink }) => downlink.stop())));
  }

  status(): DownlinkStatus[] {
    return this.#running.map(({ config, downlink }) => ({
      name: config.name,
      from: config.from ?? config.regex ?? '',
      to: config.to,
      group: groupOf(config),
      ...downlink.state(),
    }));
  }
}

function groupOf({ name, group }: DownlinkConfig): string {
  return group ?? `sluice.${name}`;
}

function makeDownlink(
  definition: DownlinkConfig,
  config: SluiceConfig,
  subscribers: Subscribers,
  log: Logger,
  report: Report,
): Downlink {
  const { name: downlink, startAt } = definition;
  const { mapper, problems } = compileDownlink(definition, config.limits.maxPacketSizeBytes);
  if (mapper === undefined) throw new Error(problems.map(({ message }) => message).join('; '));
  const kafka = kafkaOptions(config.kafka);
  const kafkaLog: KafkaLog = (level, message, detail) =>
    log[level]({ event: 'kafka.client', downlink, ...detail }, message);
  return new Downlink({
    definition,
    mapper,
    source: createConsumer({
      kafka,
      groupId: groupOf(definition),
      topics: topicsOf(definition),
      startAt,
      log: kafkaLog,
    }),
    letters: createSingleRecords(kafka, kafkaLog),
    subscribers,
    events: {
      connected: () => log.info({ event: 'downlink.connected', downlink }, `downlink ${downlink} reads from Kafka`),
      fault: (error) => report.fault('downlink.fault', error, { downlink, code: error.code }),
      deadLettered: ({ topic, partition, offset }, { code, reason }) =>
        report.fault('downlink.dead-letter', new Error(`downlink ${downlink}: ${reason}`), {
          downlink,
          code,
          topic,
          partition,
          offset,
        }),
    },
  });
}
