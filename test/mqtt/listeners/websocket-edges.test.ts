/** What a WebSocket listener does with bytes that no well-made client sends (RFC 6455 §5, §10). */
import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { afterTest } from '../support/harness.ts';
import { frame, RawWebSocket, type FrameOptions } from '../support/raw-web-socket.ts';
import { serve, type Served } from '../support/served.ts';

const host = '127.0.0.1';
const MAX_PACKET_BYTES = 10_000;
const MARGIN_BYTES = 64 * 1024;
const connectPacket = Buffer.from([0x10, 0x0d, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0x61]);
const connack = Buffer.from([0x20, 2, 0, 0]);

const listening = (limits = {}): Promise<Served> =>
  serve(
    { ws: { host, port: 0, path: '/mqtt', origins: ['https://app.example.com'] } },
    { maxPacketSizeBytes: MAX_PACKET_BYTES, ...limits },
    { limits: { maxPacketSizeBytes: MAX_PACKET_BYTES, connectTimeoutMs: 2_000 } },
  );

async function upgraded(test: Served, headers = {}): Promise<RawWebSocket> {
  const client = await RawWebSocket.upgraded(test.portOf('ws'), headers);
  afterTest(() => void client.socket.destroy());
  return client;
}

async function connected(test: Served): Promise<RawWebSocket> {
  const client = await upgraded(test);
  client.write(frame(connectPacket));
  await eventually(() => client.body.includes(connack), 5_000, 'no CONNACK');
  return client;
}

/** A message in frames of the given payloads. */
function message(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(
    parts.map((part, index) => frame(part, { opcode: index === 0 ? 2 : 0, fin: index === parts.length - 1 })),
  );
}

const fragmentsOf = (count: number): Buffer[] => Array.from({ length: count }, () => Buffer.alloc(0));

describe('a frame', () => {
  const ping = Buffer.from([0xc0, 0]);
  const bad: [name: string, bytes: Buffer, code: number][] = [
    ['without a mask', frame(ping, { masked: false }), 1002],
    ['with the bit RSV1, which would mean compressed', frame(ping, { reserved: 0x40 }), 1002],
    ['with the bit RSV2', frame(ping, { reserved: 0x20 }), 1002],
    ['with the bit RSV3', frame(ping, { reserved: 0x10 }), 1002],
    ...([3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as const).map((opcode): [string, Buffer, number] => [
      `of the reserved kind ${opcode}`,
      frame(ping, { opcode }),
      1002,
    ]),
    ['of text', frame(Buffer.from('text'), { opcode: 1 }), 1003],
    ['that goes on with a message that has not begun', frame(ping, { opcode: 0 }), 1002],
    ['that begins a message within another', Buffer.concat([frame(ping, { fin: false }), frame(ping)]), 1002],
    ['that controls and is a fragment', frame(ping, { opcode: 9, fin: false }), 1002],
    ['that controls and is too long', frame(Buffer.alloc(126), { opcode: 9 }), 1002],
    ['with a length of 2^63', Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1009],
    ['larger than a packet may be', frame(Buffer.alloc(MAX_PACKET_BYTES + MARGIN_BYTES + 1)), 1009],
    [
      'that makes the message larger than a packet may be',
      message([Buffer.alloc(MAX_PACKET_BYTES), Buffer.alloc(MARGIN_BYTES + 1), Buffer.of(0)]),
      1009,
    ],
    ['of a message in too many fragments', message(fragmentsOf(1_025)), 1008],
  ];

  it.each(bad)(
    '%s ends the connection, with a close frame and a log line, and nothing of it is taken',
    async (...row) => {
      const [, bytes, code] = row;
      const test = await listening();
      const client = await connected(test);
      client.write(bytes);
      await client.untilClosed();
      expect(client.closeCode).toBe(code);
      expect(test.broker.counters.packets['pingreq'] ?? 0).toBe(0);
      await eventually(() => test.failed.length === 1, 5_000, 'nothing was said');
      expect(test.failed[0]?.clientId).toBe('a');
      expect(test.faults).toEqual([]);
      await eventually(() => test.listeners.connections.open === 0, 5_000, 'a connection stays');
    },
  );

  const fine: [name: string, bytes: Buffer][] = [
    ['in 1,024 fragments', message([...fragmentsOf(1_023), ping])],
    ['of which each byte is a frame', message([...ping].map((byte) => Buffer.of(byte)))],
    [
      'with a ping of WebSocket in its middle',
      Buffer.concat([
        frame(ping.subarray(0, 1), { fin: false }),
        frame(Buffer.from('are you there'), { opcode: 9 }),
        frame(ping.subarray(1), { opcode: 0 }),
      ]),
    ],
  ];
  it.each(fine)('of a message %s is taken', async (_name, bytes) => {
    const test = await listening();
    const client = await connected(test);
    client.write(bytes);
    await eventually(() => client.body.includes(Buffer.from([0xd0, 0])), 5_000, 'no PINGRESP');
    expect(test.failed).toEqual([]);
  });

  it('that comes byte by byte is held up to a bound of pieces', async () => {
    const test = await listening();
    const client = await connected(test);
    const announced = frame(Buffer.alloc(70_000));
    const before = test.listeners.connections.traffic().receivedBytes;
    let sent = 0;
    while (!client.closed && sent < 2_000) {
      client.write(announced.subarray(sent, ++sent));
      // Each byte is read before the next one comes.
      while (!client.closed && test.listeners.connections.traffic().receivedBytes < before + sent)
        await new Promise(setImmediate);
    }
    expect(client.closeCode).toBe(1008);
    // Of a bound of 128 bytes per piece.
    expect(sent).toBeLessThan(700);
    await eventually(() => test.failed.length === 1, 5_000, 'nothing was said');
  });

  it('of pings is not answered without end where the answers are not read', async () => {
    const test = await listening();
    const client = await connected(test);
    client.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 500 }, () => frame(Buffer.alloc(125), { opcode: 9 })));
    let blocked = false;
    for (let round = 0; round < 2_000 && !client.closed && !blocked; round++) {
      const taken = client.socket.write(pings);
      if (!taken) {
        blocked = await Promise.race([
          new Promise<boolean>((resolve) => client.socket.once('drain', () => resolve(false))),
          new Promise<boolean>((resolve) => client.socket.once('close', () => resolve(true))),
        ]);
      }
    }
    await eventually(() => test.listeners.connections.open === 0, 10_000, 'it is answered without end');
  });
});

describe('the upgrade', () => {
  const statusOf = async (test: Served, headers = {}, line?: string): Promise<string> => {
    const client = await RawWebSocket.open(test.portOf('ws'));
    afterTest(() => void client.socket.destroy());
    client.request(headers, line);
    await client.untilClosed();
    return client.head.split(' ')[1] ?? '';
  };

  it('negotiates no compression, whatever is offered', async () => {
    const offered = 'permessage-deflate; client_max_window_bits; server_no_context_takeover, x-webkit-deflate-frame';
    const client = await upgraded(await listening(), { 'Sec-WebSocket-Extensions': offered });
    expect(client.head.toLowerCase()).not.toContain('sec-websocket-extensions');
  });

  it.each([
    ['chat', '400'],
    ['MQTT', '400'],
    ['mqtt2, chat', '400'],
    ['', '400'],
    ['mqtt, mqtt', '400'],
    ['mqtt;x', '400'],
  ])('with the subprotocol %j is refused', async (offered, status) => {
    const test = await listening();
    expect(await statusOf(test, { 'Sec-WebSocket-Protocol': offered })).toBe(status);
    expect(test.clientFaults).toHaveLength(1);
    expect(test.faultyAddresses).toEqual([host]);
    expect(test.infos).toEqual([]);
  });

  it.each([
    'https://evil.example.com',
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://app.example.com.evil.com',
    'https://app.example.com/',
    'null',
    '',
  ])('from the origin %j is refused', async (origin) => {
    const test = await listening();
    expect(await statusOf(test, { Origin: origin })).toBe('403');
    expect(test.clientFaults[0]).toContain('may not connect');
    expect(test.infos).toEqual([]);
  });

  it('from an origin of the list, or of a client that is no browser, is taken', async () => {
    const test = await listening();
    await upgraded(test, { Origin: 'https://app.example.com' });
    await upgraded(test);
    expect(test.clientFaults).toEqual([]);
  });

  it.each([
    ['of another method', {}, 'POST /mqtt HTTP/1.1', '400'],
    ['without a key', { 'Sec-WebSocket-Key': 'short' }, undefined, '400'],
    ['of another version', { 'Sec-WebSocket-Version': '7' }, undefined, '400'],
    ['to another protocol', { Upgrade: 'h2c' }, undefined, '400'],
    ['of headers that are too long', { Cookie: 'x'.repeat(9_000) }, undefined, '431'],
    ['of two lengths', { 'Content-Length': '1', 'Transfer-Encoding': 'chunked' }, undefined, '400'],
  ])('%s is refused, once in the log, with the address', async (_name, headers, line, status) => {
    const test = await listening();
    expect(await statusOf(test, headers, line)).toBe(status);
    expect(test.clientFaults).toHaveLength(1);
    expect(test.faultyAddresses).toEqual([host]);
    expect(test.infos).toEqual([]);
  });

  it('that comes byte by byte, or not at all, is ended in time', async () => {
    const test = await listening({ connectTimeoutMs: 300 });
    const slow = await RawWebSocket.open(test.portOf('ws'));
    const bytes = Buffer.from('GET /mqtt HTTP/1.1\r\nHost: x\r\nX-Long: '.padEnd(4_000, 'y'));
    let at = 0;
    await eventually(
      () => {
        if (!slow.closed) slow.write(bytes.subarray(at, ++at));
        return slow.closed;
      },
      10_000,
      'it is still waited for',
    );
    expect(slow.head).toContain('408');
    expect(test.clientFaults).toEqual(['ws: the request did not come in time']);
  });

  it('and no CONNECT is ended in time, too', async () => {
    const test = await serve(
      { ws: { host, port: 0, path: '/mqtt', origins: [] } },
      {},
      { limits: { connectTimeoutMs: 300 } },
    );
    const client = await upgraded(test);
    const pinging: FrameOptions = { opcode: 9 };
    await eventually(
      () => {
        if (!client.closed) client.write(frame(Buffer.of(), pinging));
        return client.closed;
      },
      5_000,
      'it is still waited for',
    );
  });
});
