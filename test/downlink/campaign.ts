/**
 * Commands to devices while sluice and Kafka are killed and devices come and go. A third of the devices is away from before the
 * first command until after the last; a third has no session and is sent what it missed once it is back, by `noSubscriber: hold`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoreName } from '../main/stores.ts';
import { storeFor } from '../main/stores.ts';
import { eventually } from '../support/eventually.ts';
import { randomFrom } from '../support/random.ts';
import { startKafka, type Kafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';
import { makeDevices, type TestDevice } from './devices.ts';
import { judge, type Verdict } from './judge.ts';

export interface CampaignOptions {
  readonly store: StoreName;
  readonly devices: number;
  readonly commands: number;
  /** Over which the commands are spread. */
  readonly sendMs: number;
  readonly partitions: number;
  readonly windowRecords: number;
  /** Of sluice, and half as many of Kafka, over the time of sending. */
  readonly kills: number;
  readonly timeoutMs: number;
  readonly seed?: number;
}

export interface CampaignReport extends Verdict {
  readonly seed: number;
  readonly sluiceKills: number;
  readonly kafkaKills: number;
  readonly breaks: number;
  readonly seconds: number;
  /** What a crash or rebalance may repeat: per kill the window of each partition; per break and kill what was under way to devices. */
  readonly duplicatesMax: number;
  readonly deadLetters: number;
}

const TOPIC = 'commands';

export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const random = randomFrom(options.seed);
  const directory = await mkdtemp(join(tmpdir(), 'sluice-downlink-'));
  const kafka = await startKafka();
  const { redis, settings } = await storeFor(options.store);
  let sluice: SluiceProcess | undefined;
  let devices: TestDevice[] = [];
  try {
    await kafka.createTopic(TOPIC, options.partitions);
    const configFile = join(directory, 'sluice.yaml');
    await writeFile(configFile, JSON.stringify(configOf(options)));
    sluice = await SluiceProcess.start({ brokers: kafka.brokers, configFile, ...settings });
    devices = makeDevices(options.devices, sluice.url, random);
    await introduce(devices);
    const startedAt = performance.now();
    const sent = new Map<string, number>();
    const trouble = new Trouble(sluice, kafka, devices, random, options);
    await Promise.all([send(kafka, devices, sent, options, random), trouble.run()]);
    for (const device of devices) if (device.kind === 'away') device.come();
    const received = (): Map<string, readonly number[]> =>
      new Map(devices.map(({ name, received }) => [name, received]));
    const running = sluice;
    await eventually(
      () => judge(received(), sent).missing === 0,
      options.timeoutMs,
      () => `${judge(received(), sent).missing} commands have not come: ${running.stderr.slice(-2_000)}`,
    ).catch((error: unknown) => console.error(String(error)));
    const status = await sluice.status();
    const { sluiceKills, kafkaKills, breaks } = trouble;
    return {
      ...judge(received(), sent),
      seed: random.seed,
      sluiceKills,
      kafkaKills,
      breaks,
      seconds: (performance.now() - startedAt) / 1_000,
      duplicatesMax:
        (sluiceKills + kafkaKills + 1) * options.partitions * options.windowRecords + (breaks + sluiceKills) * 100,
      deadLetters: status.downlinks[0]?.outcomes['deadLettered'] ?? NaN,
    };
  } finally {
    await Promise.all(devices.map((device) => device.leave().catch(() => undefined)));
    await sluice?.discard();
    await redis?.stop();
    await kafka.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

function configOf({ windowRecords }: CampaignOptions): object {
  return {
    downlinks: [
      {
        name: 'commands',
        from: TOPIC,
        to: 'devices/{key}/commands',
        noSubscriber: 'hold',
        holdTimeout: '5m',
        windowRecords,
      },
    ],
  };
}

/** Each is known before the first command; those that will be away leave a session. */
async function introduce(devices: readonly TestDevice[]): Promise<void> {
  for (const device of devices) device.come();
  await eventually(() => devices.every(({ online }) => online), 60_000, 'not every device could subscribe');
  await Promise.all(devices.filter(({ kind }) => kind === 'away').map((device) => device.leave()));
}

/** With a client that is not ours. What fails is sent again as a whole: first occurrences stay in order. */
async function send(
  kafka: Kafka,
  devices: readonly TestDevice[],
  sent: Map<string, number>,
  { commands, sendMs }: CampaignOptions,
  random: ReturnType<typeof randomFrom>,
): Promise<void> {
  const chunks = 20;
  for (let chunk = 0; chunk < chunks; chunk++) {
    const lines: string[] = [];
    const until = Math.round(((chunk + 1) * commands) / chunks);
    for (let index = Math.round((chunk * commands) / chunks); index < until; index++) {
      // Each has its share; the order of devices is drawn.
      const device = index < devices.length ? devices[index]! : random.pick(devices);
      const number = sent.get(device.name) ?? 0;
      sent.set(device.name, number + 1);
      lines.push(`${device.name}:${device.name} ${number}`);
    }
    while (!(await produce(kafka, lines))) await sleep(200);
    await sleep(sendMs / chunks);
  }
}

async function produce(kafka: Kafka, lines: readonly string[]): Promise<boolean> {
  const kcat = spawn(
    'kcat',
    ['-P', '-b', kafka.brokers.join(','), '-t', TOPIC, '-K:', '-X', 'enable.idempotence=true', '-X', 'acks=all'],
    { stdio: ['pipe', 'ignore', 'ignore'] },
  );
  kcat.stdin.on('error', () => undefined);
  kcat.stdin.end(lines.map((line) => `${line}\n`).join(''));
  const [code] = (await once(kcat, 'close')) as [number | null];
  return code === 0;
}

/** Kills and broken connections, while commands are sent. */
class Trouble {
  sluiceKills = 0;
  kafkaKills = 0;
  breaks = 0;
  readonly #sluice: SluiceProcess;
  readonly #kafka: Kafka;
  readonly #devices: readonly TestDevice[];
  readonly #random: ReturnType<typeof randomFrom>;
  readonly #options: CampaignOptions;

  constructor(
    sluice: SluiceProcess,
    kafka: Kafka,
    devices: readonly TestDevice[],
    random: ReturnType<typeof randomFrom>,
    options: CampaignOptions,
  ) {
    this.#sluice = sluice;
    this.#kafka = kafka;
    this.#devices = devices.filter(({ kind }) => kind !== 'away');
    this.#random = random;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { kills, sendMs } = this.#options;
    for (let kill = 0; kill < kills; kill++) {
      for (let step = 0; step < 4; step++) {
        this.#break();
        await sleep((sendMs / kills / 4) * (0.5 + this.#random.next()));
      }
      await this.#sluice.kill();
      this.sluiceKills++;
      if (kill % 2 === 0) {
        await this.#kafka.kill();
        this.kafkaKills++;
        await Promise.all([this.#sluice.start(), this.#kafka.start()]);
      } else {
        await this.#sluice.start();
      }
    }
  }

  #break(): void {
    for (let count = 0; count < Math.ceil(this.#devices.length / 20); count++) {
      this.#random.pick(this.#devices).breaks();
      this.breaks++;
    }
  }
}
