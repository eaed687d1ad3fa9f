import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { stopwatch } from '../../support/cpu-wait.ts';
import { eventually } from '../../support/eventually.ts';
import { LiveBroker } from '../fuzz/live.ts';
import { afterTest } from '../support/harness.ts';
import { RawClient } from '../support/raw-client.ts';
import { bytes, connect, packet, sized, u16, variable } from './bytes.ts';

const CLAIMING = 1_000;
const HALF_OPEN = 2_000;
const TRICKLING = 2_000;
const SECONDS = 6;
const CONNECT_TIMEOUT_MS = 8_000;
const RSS_MAX_BYTES = 256 * 2 ** 20;
const CONNECT_MAX_MS = 2_000;

/** Sockets of this process; the broker's has as many. */
function openFilesMax(): number {
  const line = /Max open files\s+(\d+|unlimited)/.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] === 'unlimited' ? Infinity : Number(line?.[1]);
}

async function open(port: number, count: number, onOpen: (socket: net.Socket) => void): Promise<net.Socket[]> {
  const sockets: net.Socket[] = [];
  // As many at once as a backlog takes.
  while (sockets.length < count) {
    const opened = Array.from({ length: Math.min(500, count - sockets.length) }, () => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
      socket.on('error', () => undefined);
      sockets.push(socket);
      return new Promise<void>((resolve) => {
        socket.once('connect', () => {
          onOpen(socket);
          resolve();
        });
        socket.once('close', () => resolve());
      });
    });
    await Promise.all(opened);
  }
  afterTest(() => {
    for (const socket of sockets) socket.destroy();
  });
  return sockets;
}

it(
  '1,000 that claim 256 MB, 2,000 that say nothing and 2,000 that trickle cost little, and a device still connects',
  { timeout: 300_000 },
  async (context) => {
    const needed = CLAIMING + HALF_OPEN + TRICKLING + 200;
    context.skip(openFilesMax() < needed, `this needs ulimit -n ${needed}`);
    const broker = await LiveBroker.start({ CONNECT_TIMEOUT_MS: String(CONNECT_TIMEOUT_MS) });
    afterTest(() => broker.stop());
    const { port } = broker;
    const rss = async (): Promise<number> => (await broker.report())?.rssBytes ?? Infinity;
    await RawClient.connect(port, { clientId: 'first' }).then((client) => client.destroy());
    const before = await rss();
    let most = before;
    let slowestMs = 0;
    const device = async (): Promise<void> => {
      const elapsed = stopwatch(process.pid, broker.pid);
      const client = await RawClient.open(port);
      client.write(connect(4, { id: 'device' }));
      await eventually(() => client.of('connack').length === 1, 60_000);
      slowestMs = Math.max(slowestMs, elapsed());
      client.publish('r/1', 'reading', 1, 1);
      await eventually(() => client.of('puback').length === 1, 60_000);
      client.destroy();
      most = Math.max(most, await rss());
    };

    const claim = bytes(0x10, 0xff, 0xff, 0xff, 0x7f, sized('MQTT'), 4, 2, u16(60), Buffer.alloc(1_000));
    const claiming = await open(port, CLAIMING, (socket) => socket.write(claim));
    await device();
    const halfOpen = await open(port, HALF_OPEN, () => undefined);
    await device();
    // Half of them trickle a CONNECT, the others a message once they are in.
    const slowConnect = packet(0x10, sized('MQTT'), 4, 2, u16(0), sized('i'.repeat(60_000)));
    const slowMessage = bytes(0x32, variable(200_000), sized('r/slow'), u16(1), Buffer.alloc(1_000));
    let number = 0;
    const trickling = await open(port, TRICKLING, (socket) => {
      if (number++ % 2 === 0) socket.write(connect(4, { id: `slow-${number}` }));
    });
    for (let second = 0; second < SECONDS; second++) {
      for (const [index, socket] of trickling.entries()) {
        if (!socket.destroyed) socket.write((index % 2 === 0 ? slowMessage : slowConnect).subarray(second, second + 1));
      }
      await device();
      await sleep(1_000);
    }

    expect(Math.round((most - before) / 2 ** 20)).toBeLessThan(RSS_MAX_BYTES / 2 ** 20);
    expect(slowestMs).toBeLessThan(CONNECT_MAX_MS);
    expect(claiming.filter(({ destroyed }) => !destroyed)).toEqual([]);
    // Who does not say CONNECT in time is closed, whether it says nothing or too little; who is in stays.
    const left = (sockets: net.Socket[]): number => sockets.filter(({ destroyed }) => !destroyed).length;
    await eventually(() => left(halfOpen) === 0 && left(trickling) <= TRICKLING / 2, 60_000);
    expect(left(trickling)).toBeGreaterThan(TRICKLING / 4);
    await device();
    console.log(`RSS +${Math.round((most - before) / 2 ** 20)} MB, slowest connect ${Math.round(slowestMs)} ms`);
  },
);
