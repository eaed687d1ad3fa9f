import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startProxy, type Proxy } from './proxy.ts';

/** A service that answers every chunk with the same bytes and remembers what it was sent. */
async function startEcho() {
  const received: Buffer[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk);
      socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    sockets,
    text: () => Buffer.concat(received).toString(),
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

function connect(port: number) {
  const socket = net.connect(port, '127.0.0.1');
  const state = { text: '', closed: false, error: undefined as NodeJS.ErrnoException | undefined };
  socket.on('data', (chunk: Buffer) => (state.text += chunk.toString()));
  socket.on('error', (error) => (state.error = error));
  socket.on('close', () => (state.closed = true));
  return Object.assign(state, { socket });
}

/** Longer than a byte needs over loopback: for asserting that something does not arrive. */
const LONG_ENOUGH_MS = 150;
const quietly = () => new Promise((resolve) => setTimeout(resolve, LONG_ENOUGH_MS));

describe('a proxy in front of a service', () => {
  let echo: Awaited<ReturnType<typeof startEcho>>;
  let proxy: Proxy;

  beforeEach(async () => {
    echo = await startEcho();
    proxy = await startProxy(echo.port);
  });

  afterEach(async () => {
    await proxy.stop();
    await echo.stop();
  });

  async function connected() {
    const client = connect(proxy.port);
    client.socket.write('hello ');
    await vi.waitFor(() => expect(client.text).toBe('hello '));
    return client;
  }

  it('forwards both ways and counts bytes and connections', async () => {
    await connected();
    await connected();
    expect(proxy.bytes).toEqual({ up: 12, down: 12 });
    expect([proxy.connections, proxy.accepted]).toEqual([2, 2]);
  });

  it('forwards a megabyte unchanged and in order', async () => {
    const text = Array.from({ length: 150_000 }, (_, index) => `${index},`).join('');
    const client = connect(proxy.port);
    client.socket.write(text);
    await vi.waitFor(() => expect(client.text.length).toBe(text.length), 5_000);
    expect(client.text === text).toBe(true);
  });

  it('passes the end of a connection on, in both directions', async () => {
    const ending = await connected();
    ending.socket.end();
    await vi.waitFor(() => expect([ending.closed, ending.error]).toEqual([true, undefined]));
    const ended = await connected();
    for (const socket of echo.sockets) socket.end();
    await vi.waitFor(() => expect([ended.closed, ended.error]).toEqual([true, undefined]));
    await vi.waitFor(() => expect(proxy.connections).toBe(0));
  });

  it('hangs: takes connections and bytes, forwards nothing, keeps the sockets', async () => {
    const client = await connected();
    proxy.hang();
    client.socket.write('held');
    const late = connect(proxy.port);
    late.socket.write(' too');
    await quietly();
    expect(echo.text()).toBe('hello ');
    expect([client.closed, late.closed, late.socket.connecting]).toEqual([false, false, false]);
    await proxy.resume();
    await vi.waitFor(() => expect([client.text, late.text]).toEqual(['hello held', ' too']));
  });

  it('hangs only the answers: the service gets the request, the client learns nothing', async () => {
    const client = await connected();
    proxy.hang('down');
    client.socket.write('asked');
    await vi.waitFor(() => expect(echo.text()).toBe('hello asked'));
    await quietly();
    expect(client.text).toBe('hello ');
    await proxy.resume();
    await vi.waitFor(() => expect(client.text).toBe('hello asked'));
  });

  it('delivers on resume what a client sent before it gave up, as a service that was stopped would read it', async () => {
    const client = await connected();
    proxy.hang();
    client.socket.end('late');
    await quietly();
    client.socket.destroy();
    await proxy.resume();
    await vi.waitFor(() => expect(echo.text()).toBe('hello late'));
    await vi.waitFor(() => expect(proxy.connections).toBe(0));
  });

  it('holds up a sender that goes on into a hang instead of growing without end', async () => {
    const client = await connected();
    proxy.hang();
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    for (let index = 0; index < 64; index += 1) client.socket.write(chunk);
    await quietly();
    expect(client.socket.bytesWritten - client.socket.writableLength).toBeLessThan(32 * chunk.length);
    await proxy.resume();
    await vi.waitFor(() => expect(client.text.length).toBe(6 + 64 * chunk.length), 20_000);
  });

  it('delays each chunk, and keeps their order', async () => {
    const client = await connected();
    proxy.delay(LONG_ENOUGH_MS, 'down');
    const started = performance.now();
    client.socket.write('1');
    await vi.waitFor(() => expect(echo.text()).toBe('hello 1'));
    client.socket.write('2');
    await vi.waitFor(() => expect(client.text).toBe('hello 12'), 5_000);
    expect(performance.now() - started).toBeGreaterThanOrEqual(LONG_ENOUGH_MS - 1);
  });

  it('resets every connection on cut, and takes new ones', async () => {
    const [one, two] = [await connected(), await connected()];
    proxy.cut();
    await vi.waitFor(() => expect([one.closed, two.closed]).toEqual([true, true]));
    expect(one.error?.code).toBe('ECONNRESET');
    await vi.waitFor(() => expect(echo.sockets.size).toBe(0));
    expect((await connected()).text).toBe('hello ');
  });

  it('cuts in the middle: exactly the bytes before it arrive, and only once', async () => {
    const client = await connected();
    proxy.cutAfter(3, 'up');
    client.socket.write('abcdef');
    await vi.waitFor(() => expect(client.closed).toBe(true));
    await vi.waitFor(() => expect(echo.sockets.size).toBe(0));
    expect(echo.text()).toBe('hello abc');
    const again = connect(proxy.port);
    again.socket.write('uvwxyz');
    await vi.waitFor(() => expect(again.text).toBe('uvwxyz'));
  });

  it('refuses connections until it resumes', async () => {
    const client = await connected();
    await proxy.refuse();
    await vi.waitFor(() => expect(client.closed).toBe(true));
    const refused = connect(proxy.port);
    await vi.waitFor(() => expect(refused.error?.code).toBe('ECONNREFUSED'));
    await proxy.resume();
    expect((await connected()).text).toBe('hello ');
  });

  it('resets the client when nobody listens behind it', async () => {
    await echo.stop();
    const client = connect(proxy.port);
    await vi.waitFor(() => expect(client.closed).toBe(true));
    expect(client.error?.code).toBe('ECONNRESET');
  });
});
