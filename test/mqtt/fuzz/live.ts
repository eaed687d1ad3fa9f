/** Plays cases to a broker in a process of its own, and says what is wrong with what comes of it. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { stopwatch } from '../../support/cpu-wait.ts';
import { connect, packet } from '../guard/bytes.ts';
import { judge } from '../guard/machine.ts';
import type { BrokerReport } from './broker.ts';
import { chunksOf, CLIENT_IDS, type FuzzCase } from './case.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** What ends a connection or answers a ping takes no longer, besides what the machine makes it wait for a CPU. */
const ANSWER_MS = 10_000;
/** Sessions with more bytes than this are sent in larger chunks: it is the number of writes that takes the time. */
const CRUMBS_MAX_BYTES = 2_000;

const PINGREQ = packet(0xc0);

export class LiveBroker {
  readonly #child: ChildProcess;
  #port = 0;
  /** Why it has ended; undefined: it lives. */
  ended: string | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    let stderr = '';
    child.stderr?.on('data', (text: Buffer) => (stderr = (stderr + text.toString()).slice(-4_000)));
    child.once('exit', (code, signal) => (this.ended = `exit ${code ?? signal}: ${stderr}`));
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<LiveBroker> {
    const child = fork(file('./broker.ts'), {
      execArgv: ['--import', file('../../../scripts/typescript/register.mjs')],
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const broker = new LiveBroker(child);
    const [report] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error(`the broker does not start: ${broker.ended}`))),
    ])) as [BrokerReport];
    broker.#port = report.port;
    return broker;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get port(): number {
    return this.#port;
  }

  /** undefined: it has ended. */
  async report(): Promise<BrokerReport | undefined> {
    if (this.ended !== undefined || !this.#child.connected) {
      // The channel goes first.
      if (this.ended === undefined) await once(this.#child, 'exit');
      return undefined;
    }
    // Where it ends at this moment the error comes here, and its exit below.
    this.#child.send('report', () => undefined);
    const stopped = new AbortController();
    const { signal } = stopped;
    const [report] = (await Promise.race([
      once(this.#child, 'message', { signal }),
      once(this.#child, 'exit', { signal }),
    ]).finally(() => stopped.abort())) as [unknown];
    return typeof report === 'object' && report !== null ? (report as BrokerReport) : undefined;
  }

  async stop(): Promise<void> {
    if (this.ended !== undefined) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}

/** What is wrong with how the broker takes this case; undefined: nothing. */
export function play(fuzzCase: FuzzCase, { port, pid }: Pick<LiveBroker, 'port' | 'pid'>): Promise<string | undefined> {
  const all = Buffer.concat(fuzzCase.packets);
  const chunks = chunksOf(all.length > CRUMBS_MAX_BYTES ? { ...fuzzCase, chunkSizes: [] } : fuzzCase);
  const { violation } = judge(chunks);
  // Where the bytes end within a packet, a PINGREQ would be a part of it; behind a DISCONNECT it would be nothing.
  const { valid } = judge([...chunks, PINGREQ]);
  let pings = countPings(valid);
  const whole = violation === undefined && pings > countPings(valid.subarray(0, all.length));
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const parser = mqttPacket.parser({ protocolVersion: versionOf(all) });
    const end = (fault: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(fault);
    };
    const expectation =
      violation === undefined
        ? whole
          ? 'an answer to PINGREQ'
          : 'an end after its own'
        : `an end (${violation.message})`;
    const elapsed = stopwatch(process.pid, pid);
    let timer: NodeJS.Timeout;
    const late = (): void => {
      const left = ANSWER_MS - elapsed();
      if (left > 1) timer = setTimeout(late, left);
      else end(`the client waits in vain for ${expectation}`);
    };
    timer = setTimeout(late, ANSWER_MS);
    parser.on('packet', (packet: Packet) => {
      if (packet.cmd === 'pingresp' && --pings === 0 && whole) end(undefined);
    });
    parser.on('error', (error: Error) => end(`the broker sends what is no MQTT: ${error.message}`));
    socket.on('data', (bytes) => parser.parse(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => end(undefined));
    for (const chunk of chunks) socket.write(chunk);
    if (whole) socket.write(PINGREQ);
    else if (violation === undefined) socket.end();
  });
}

/** PINGREQs in bytes that are valid. */
function countPings(valid: Buffer): number {
  let count = 0;
  const parser = mqttPacket.parser();
  parser.on('packet', ({ cmd }) => {
    if (cmd === 'pingreq') count++;
  });
  parser.on('error', () => undefined);
  parser.parse(valid);
  return count;
}

function versionOf(all: Buffer): 3 | 4 | 5 {
  const level = all.indexOf('MQTT') >= 0 ? all[all.indexOf('MQTT') + 4] : 3;
  return level === 5 ? 5 : level === 4 ? 4 : 3;
}

/** Ends the sessions that cases have left: their queues would grow for ever. */
export async function sweep(broker: LiveBroker): Promise<void> {
  for (const id of CLIENT_IDS)
    await play({ packets: [connect(4, { id }), packet(0xe0)], chunkSizes: [], damaged: false }, broker);
}
