import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { Fleet } from './fleet.ts';

/** A broker of a few lines: it does with each packet what the test says. */
interface Packet {
  readonly connection: number;
  readonly type: number;
  readonly flags: number;
  readonly packetId: number;
}

class Script {
  readonly packets: Packet[] = [];
  readonly sockets: net.Socket[] = [];
  readonly #server: net.Server;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async listen(onPacket: (packet: Packet, socket: net.Socket) => void): Promise<Script> {
    const server = net.createServer();
    const script = new Script(server);
    server.on('connection', (socket) => {
      const connection = script.sockets.push(socket) - 1;
      let rest = Buffer.alloc(0);
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        rest = Buffer.concat([rest, chunk]);
        // The packets of this test are shorter than 128 bytes.
        while (rest.length >= 2 && rest.length >= 2 + rest[1]!) {
          const [first, length] = [rest[0]!, rest[1]!];
          const body = rest.subarray(2, 2 + length);
          rest = rest.subarray(2 + length);
          const type = first >> 4;
          const idAt = type === 3 ? 2 + body.readUInt16BE(0) : 0;
          const packetId = type === 1 ? 0 : body.readUInt16BE(idAt);
          const packet = { connection, type, flags: first & 15, packetId };
          script.packets.push(packet);
          onPacket(packet, socket);
        }
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return script;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  of(connection: number, type: number): Packet[] {
    return this.packets.filter((packet) => packet.connection === connection && packet.type === type);
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

const CONNACK = Buffer.from([0x20, 2, 0, 0]);
const ack = (first: number, { packetId }: Packet): Buffer => Buffer.from([first, 2, packetId >> 8, packetId & 255]);
const [CONNECT, PUBLISH, PUBREL] = [1, 3, 6];
const DUP = 8;

let script: Script | undefined;
let fleet: Fleet | undefined;
afterEach(() => {
  fleet?.stop();
  script?.close();
});

async function device(
  qos: 1 | 2,
  messages: number,
  onPacket: (packet: Packet, socket: net.Socket) => void,
): Promise<void> {
  script = await Script.listen((packet, socket) => {
    if (packet.type === CONNECT) socket.write(CONNACK);
    else onPacket(packet, socket);
  });
  fleet = await Fleet.start({
    client: 'socket',
    urls: [script.url],
    devices: 1,
    topic: 't/{device}',
    prefix: 'd',
    bytes: 30,
    qos,
    messages,
    window: 5,
  });
}

describe('a device', () => {
  it('resends all that is not acknowledged, in order, with the same packet ids and DUP', async () => {
    await device(1, 5, (packet, socket) => {
      if (packet.type !== PUBLISH) return;
      const nth = script!.of(packet.connection, PUBLISH).length;
      if (packet.connection === 0 && nth === 1) socket.write(ack(0x40, packet));
      if (packet.connection === 0 && nth === 5) socket.destroy();
      if (packet.connection === 1) socket.write(ack(0x40, packet));
    });
    await fleet!.done();
    const first = script!.of(0, PUBLISH);
    const second = script!.of(1, PUBLISH);
    expect(first.map(({ flags }) => flags & DUP)).toEqual([0, 0, 0, 0, 0]);
    // The first PUBACK may have been lost with the connection.
    const left = first.slice(5 - second.length);
    expect(second.length).toBeGreaterThanOrEqual(4);
    expect(second.map(({ packetId }) => packetId)).toEqual(left.map(({ packetId }) => packetId));
    expect(second.every(({ flags }) => (flags & DUP) !== 0)).toBe(true);
    expect(await fleet!.logs()).toMatchObject([{ attempted: 5, acknowledged: [0, 1, 2, 3, 4] }]);
    expect(await fleet!.counts()).toMatchObject({ reconnects: 1, resent: second.length, acksOutOfOrder: 0 });
  });

  it('QoS 2: goes on with PUBREL where PUBREC had come, and never publishes that again', async () => {
    await device(2, 1, (packet, socket) => {
      if (packet.type === PUBLISH) socket.write(ack(0x50, packet));
      if (packet.type === PUBREL && packet.connection === 0) socket.destroy();
      if (packet.type === PUBREL && packet.connection === 1) socket.write(ack(0x70, packet));
    });
    await fleet!.done();
    const [published] = script!.of(0, PUBLISH);
    expect(script!.of(1, PUBLISH)).toEqual([]);
    expect(script!.of(1, PUBREL).map(({ packetId }) => packetId)).toEqual([published!.packetId]);
    expect(await fleet!.logs()).toMatchObject([{ attempted: 1, acknowledged: [0] }]);
  });

  it('keeps to its window', async () => {
    await device(1, 20, () => {});
    await eventually(() => script!.of(0, PUBLISH).length >= 5);
    expect((await fleet!.counts()).attempted).toBe(5);
  });

  it('takes note of acknowledgements out of order', async () => {
    const held: Packet[] = [];
    await device(1, 2, (packet, socket) => {
      if (packet.type === PUBLISH && held.push(packet) === 2)
        for (const each of held.reverse()) socket.write(ack(0x40, each));
    });
    await fleet!.done();
    expect((await fleet!.counts()).acksOutOfOrder).toBe(1);
  });
});
