/** Devices that take commands: some are away for the whole of it, some come and go, and some of those have no session. */
import mqtt, { type MqttClient } from 'mqtt';
import type { Random } from '../support/random.ts';

export const kinds = ['away', 'session', 'sessionless'] as const;
export type DeviceKind = (typeof kinds)[number];

export class TestDevice {
  readonly name: string;
  readonly kind: DeviceKind;
  /** Numbers of commands, as they came. */
  readonly received: number[] = [];
  readonly #url: string;
  readonly #version: 4 | 5;
  #client: MqttClient | undefined;
  #subscribed = false;

  constructor(name: string, kind: DeviceKind, url: string, version: 4 | 5) {
    this.name = name;
    this.kind = kind;
    this.#url = url;
    this.#version = version;
  }

  get topic(): string {
    return `devices/${this.name}/commands`;
  }

  get online(): boolean {
    return this.#client?.connected === true && this.#subscribed;
  }

  /** Tries until it is told to leave. */
  come(): void {
    const clean = this.kind === 'sessionless';
    const client = mqtt.connect(this.#url, {
      clientId: this.name,
      clean,
      protocolVersion: this.#version,
      ...(this.#version === 5 && !clean ? { properties: { sessionExpiryInterval: 3_600 } } : {}),
      reconnectPeriod: 200,
      connectTimeout: 5_000,
      keepalive: 10,
      resubscribe: false,
    });
    client.on('error', () => undefined);
    client.on('connect', () => {
      client.subscribe(this.topic, { qos: 1 }, (error) => {
        this.#subscribed = error === null;
        // Without its subscription it hears nothing: it begins anew.
        if (error !== null) client.stream.destroy();
      });
    });
    client.on('close', () => (this.#subscribed = false));
    client.on('message', (_topic, payload) => this.received.push(numberOf(this.name, payload.toString())));
    this.#client = client;
  }

  async leave(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#subscribed = false;
    await client?.endAsync();
  }

  /** Its connection breaks; it comes back by itself. */
  breaks(): void {
    this.#client?.stream.destroy();
  }
}

/** `{device} {number}`; NaN: a command for another device. */
function numberOf(device: string, payload: string): number {
  const [to, number] = payload.split(' ');
  return to === device ? Number(number) : NaN;
}

export function makeDevices(count: number, url: string, random: Random): TestDevice[] {
  return Array.from({ length: count }, (_, index) => {
    const version = random.int(2) === 0 ? 4 : 5;
    return new TestDevice(`d${index}`, kinds[index % kinds.length]!, url, version);
  });
}
