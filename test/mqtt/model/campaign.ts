import { randomFrom, type Random } from '../../support/random.ts';
import { eventually } from '../../support/eventually.ts';
import type { Qos, Version } from '../support/peer.ts';
import { check, outstanding, type Violation } from './checker.ts';
import { Device } from './device.ts';
import { nameOf, type Event, type History } from './history.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly port: () => number;
  readonly devices?: number;
  /** What each device does. */
  readonly actions?: number;
  /** Of filters that one device may have at the same time. */
  readonly filters?: readonly string[];
  /** Stops and starts the broker, while everything is under way. */
  readonly restart?: () => Promise<void>;
}

export interface CampaignResult {
  readonly history: History;
  readonly violations: readonly Violation[];
  /** What the run was made of: a campaign in which nothing happens shows nothing. */
  readonly counts: Readonly<Record<'published' | 'delivered' | 'connected' | 'again' | 'sessionsEnded', number>>;
}

const sharedTopics = ['s/0', 's/1/x', 's/1/y', 's/2/x', 's/2'] as const;
/** They overlap. */
const allFilters = ['s/#', 's/0', 's/1/+', 's/+/x', 'r/+', 's/1/x', '+/2'] as const;
const qualities = [0, 1, 1, 2, 2] as const;
const SETTLE_TIMEOUT_MS = 15_000;

/** Devices that publish, subscribe, vanish and take over at random; then everything is let come, and checked. */
export async function campaign(options: CampaignOptions): Promise<CampaignResult> {
  const history: Event[] = [];
  const record = (event: Event): void => void history.push(event);
  const { port, actions = 60, filters = allFilters } = options;
  const devices = Array.from({ length: options.devices ?? 6 }, (_, index) => {
    const version: Version = index % 2 === 0 ? 5 : 4;
    return new Device({ name: `d${index}`, version, lasting: index % 3 !== 2, port, record });
  });
  // Each of its own, so that the time things take changes nothing about what they do.
  const live = devices.map((device, index) =>
    new Life(device, randomFrom(options.seed + index), filters).through(actions),
  );
  const { restart } = options;
  if (restart !== undefined) {
    await eventually(() => history.filter(({ kind }) => kind === 'delivered').length > 50, SETTLE_TIMEOUT_MS);
    record({ kind: 'restarting' });
    await restart();
    record({ kind: 'restarted' });
  }
  await Promise.all(live);

  for (const device of devices) {
    device.deaf = false;
    if (!device.connected) await device.connect();
  }
  const settled = (): boolean => devices.every(({ idle }) => idle) && outstanding(history).length === 0;
  await eventually(settled, SETTLE_TIMEOUT_MS).catch(() => undefined);
  for (let round = 0; round < 2; round++) await Promise.all(devices.map((device) => device.ping()));
  const waiting = devices.filter(({ idle }) => !idle).map(({ unanswered }) => `acknowledgements for ${unanswered}`);
  const retained = await retainedAtLast(port, history);
  for (const device of devices) await device.disconnect();

  const count = (test: (event: Event) => boolean): number => history.filter(test).length;
  return {
    history,
    violations: [...waiting.map((text): Violation => ({ rule: 'lost', text })), ...check(history), ...retained],
    counts: {
      published: count(({ kind }) => kind === 'published'),
      delivered: count(({ kind }) => kind === 'delivered'),
      connected: count(({ kind }) => kind === 'connected'),
      again: count((event) => event.kind === 'delivered' && event.again),
      sessionsEnded: count(({ kind }) => kind === 'session ended'),
    },
  };
}

/** One device's share of the run. */
class Life {
  readonly #device: Device;
  readonly #random: Random;
  readonly #filters: readonly string[];
  readonly #wanted = new Map<string, Qos>();

  constructor(device: Device, random: Random, filters: readonly string[]) {
    this.#device = device;
    this.#random = random;
    this.#filters = filters;
  }

  async through(actions: number): Promise<void> {
    const device = this.#device;
    for (let left = actions; left > 0; left--) {
      if (!device.connected) await this.#connect();
      await this.#act();
      await pause(this.#random.int(4));
    }
  }

  async #connect(): Promise<void> {
    await this.#device.connect();
    // A session that lasts has them still.
    if (this.#device.lasting) return;
    for (const [filter, qos] of this.#wanted) await this.#device.subscribe(filter, qos);
  }

  async #act(): Promise<void> {
    const device = this.#device;
    const random = this.#random;
    const dice = random.next();
    if (dice < 0.55) {
      for (let burst = 1 + random.int(6); burst > 0; burst--) this.#publish();
    } else if (dice < 0.68) {
      const filter = random.pick(this.#filters);
      const qos = random.pick(qualities);
      this.#wanted.set(filter, qos);
      await device.subscribe(filter, qos);
    } else if (dice < 0.72) {
      const filter = random.pick(this.#filters);
      this.#wanted.delete(filter);
      await device.unsubscribe(filter);
    } else if (dice < 0.8) {
      await device.drop();
      await pause(random.int(30));
    } else if (dice < 0.85) {
      await device.disconnect();
      await pause(random.int(30));
    } else if (dice < 0.9) {
      await this.#connect();
    } else if (dice < 0.95) {
      device.deaf = true;
      await pause(random.int(20));
      await device.drop();
      device.deaf = false;
    }
  }

  #publish(): void {
    const random = this.#random;
    const { name, version } = this.#device;
    // The retained messages of a topic are of one device and one QoS alone: then it is plain which is the last.
    if (random.next() < 0.1) this.#device.publish(`r/${name}`, version === 4 ? 1 : 2, true);
    else this.#device.publish(random.pick(sharedTopics), random.pick(qualities));
  }
}

/** A new subscription gets the last retained message of each topic, and no other [MQTT-3.3.1-5] [MQTT-3.3.1-9]. */
async function retainedAtLast(port: () => number, history: History): Promise<Violation[]> {
  const last = new Map<string, string>();
  const possible = new Map<string, Set<string>>();
  const acknowledged = new Set(
    history.filter(({ kind }) => kind === 'acknowledged').map((event) => nameOf(event as never)),
  );
  for (const event of history) {
    if (event.kind !== 'published' || !event.retain) continue;
    const name = nameOf(event);
    if (acknowledged.has(name)) {
      last.set(event.topic, name);
      possible.set(event.topic, new Set([name]));
    } else {
      possible.get(event.topic)?.add(name);
    }
  }
  const found: Event[] = [];
  const reader = new Device({
    name: 'reader',
    version: 4,
    lasting: false,
    port,
    record: (event) => void found.push(event),
  });
  await reader.connect();
  await reader.subscribe('r/#', 2);
  const got = () => found.flatMap((event) => (event.kind === 'delivered' ? [event] : []));
  await eventually(() => got().length >= last.size, SETTLE_TIMEOUT_MS).catch(() => undefined);
  await reader.ping();
  await reader.disconnect();
  const wrong = got()
    .filter((event) => !event.retain || possible.get(event.topic)?.has(nameOf(event)) === false)
    .map((event) => `${nameOf(event)} on ${event.topic} is not the last, ${last.get(event.topic)}`);
  const topics = new Set(got().map(({ topic }) => topic));
  const none = [...last].filter(([topic]) => !topics.has(topic)).map(([topic, name]) => `no ${name} on ${topic}`);
  return [...wrong, ...none].map((text) => ({ rule: 'retained', text }));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
