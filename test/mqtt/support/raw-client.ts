import net from 'node:net';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { eventually } from '../../support/eventually.ts';

/** A client that sends what it is told, byte for byte, and keeps what comes. */
export class RawClient {
  readonly socket: net.Socket;
  readonly received: Packet[] = [];
  readonly version: 4 | 5;
  closed = false;
  /** Told of each packet as it comes. */
  onPacket: ((packet: Packet) => void) | undefined;

  private constructor(socket: net.Socket, version: 4 | 5) {
    this.socket = socket;
    this.version = version;
    const parser = mqttPacket.parser({ protocolVersion: version });
    parser.on('packet', (packet) => {
      this.received.push(packet);
      this.onPacket?.(packet);
    });
    // What is no MQTT is no answer.
    parser.on('error', () => undefined);
    socket.on('data', (bytes) => parser.parse(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
  }

  static async open(port: number, version: 4 | 5 = 4): Promise<RawClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('error', reject);
    });
    return new RawClient(socket, version);
  }

  /** Connected, with CONNACK. */
  static async connect(
    port: number,
    options: { version?: 4 | 5; clientId?: string; clean?: boolean; keepalive?: number } & Record<string, unknown> = {},
  ): Promise<RawClient> {
    const { version = 4, clientId = 'raw', clean = true, keepalive = 0, ...rest } = options;
    const client = await RawClient.open(port, version);
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean,
      keepalive,
      ...rest,
    });
    await client.until('connack');
    return client;
  }

  send(...packets: Packet[]): void {
    this.write(...packets.map((packet) => mqttPacket.generate(packet, { protocolVersion: this.version })));
  }

  write(...bytes: (Buffer | number[])[]): void {
    this.socket.write(Buffer.concat(bytes.map((each) => Buffer.from(each))));
  }

  publish(topic: string, payload: string, qos: 0 | 1 | 2, messageId: number, dup = false): void {
    this.send({ cmd: 'publish', topic, payload, qos, messageId, dup, retain: false });
  }

  of<Cmd extends Packet['cmd']>(cmd: Cmd): Extract<Packet, { cmd: Cmd }>[] {
    return this.received.filter((packet): packet is Extract<Packet, { cmd: Cmd }> => packet.cmd === cmd);
  }

  async until(cmd: Packet['cmd'], count = 1): Promise<void> {
    await eventually(
      () => this.of(cmd).length >= count,
      5_000,
      () => `no ${cmd}: ${JSON.stringify(this.received)}`,
    );
  }

  async untilClosed(timeoutMs = 5_000): Promise<void> {
    await eventually(() => this.closed, timeoutMs, 'the connection stays open');
  }

  /** A round trip: everything sent before it has been looked at. */
  async ping(): Promise<void> {
    const before = this.of('pingresp').length;
    this.send({ cmd: 'pingreq' });
    await this.until('pingresp', before + 1);
  }

  destroy(): void {
    this.socket.destroy();
  }
}
