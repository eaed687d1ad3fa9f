/** What those who guess at passwords cost a device that is logged in. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { formatHash, hashPassword } from '../../src/auth/password.ts';
import type { Latency } from '../faults/fleet.ts';
import { eventually } from '../support/eventually.ts';
import { uniqueTopic, type SharedKafka } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

interface LoginCounts {
  readonly attempted: number;
  readonly refused: number;
  readonly closed: number;
  readonly admitted: number;
  readonly acknowledged: number;
  readonly lostConnections: number;
  readonly open: number;
  readonly latency: Latency;
}

class LoginProcess {
  readonly #child = fork(fileURLToPath(new URL('./login.mjs', import.meta.url)), { execArgv: [] });

  constructor(options: object) {
    this.#child.send({ do: 'start', options });
  }

  async counts(): Promise<LoginCounts> {
    const answered = once(this.#child, 'message');
    this.#child.send({ do: 'counts' });
    const [counts] = (await answered) as [LoginCounts];
    return counts;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

export interface GuessingOptions {
  readonly seconds: number;
  readonly guessesPerSecond: number;
  readonly publishesPerSecond: number;
  /** auth.failures.perAddress; 0 is the worst case: each of them is looked at. */
  readonly failuresPerAddress: number;
}

export interface GuessingReport {
  readonly name: string;
  readonly usual: Latency;
  readonly during: Latency;
  readonly guesses: number;
  /** Of them: told that they are wrong; turned away without an answer, or for their address; let in. */
  readonly refused: number;
  readonly closed: number;
  readonly admitted: number;
  readonly deviceLost: number;
  /** What sluice counted. */
  readonly refusedLogins: number;
  readonly delivered: number;
  readonly acknowledged: number;
}

export async function runGuessing(options: GuessingOptions, kafka: SharedKafka): Promise<GuessingReport> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-siege-'));
  const topic = uniqueTopic('guessing');
  await kafka.createTopic(topic, 1);
  const users = join(directory, 'users.txt');
  // As costly as `sluice passwd` makes them.
  await writeFile(users, `anna:${formatHash(await hashPassword(Buffer.from('right'), { ln: 14, r: 8, p: 1 }))}\n`);
  const sluice = await SluiceProcess.start({
    brokers: kafka.brokers,
    routes: [{ from: 'devices/#', to: topic }],
    settings: { 'auth.users': users, 'auth.failures.perAddress': options.failuresPerAddress },
  });
  const who = { port: sluice.port, user: 'anna', topic: 'devices/d1' };
  const device = new LoginProcess({
    kind: 'device',
    ...who,
    password: 'right',
    perSecond: options.publishesPerSecond,
  });
  let guesser: LoginProcess | undefined;
  try {
    const measured = async (): Promise<Latency> => {
      await device.counts();
      await sleep(options.seconds * 1_000);
      return (await device.counts()).latency;
    };
    await eventually(async () => (await device.counts()).acknowledged > 100, 30_000, 'the device is not acknowledged');
    const usual = await measured();
    guesser = new LoginProcess({ kind: 'guesser', ...who, password: 'wrong', perSecond: options.guessesPerSecond });
    await eventually(async () => (await guesser!.counts()).attempted > 0, 10_000, 'nobody guesses');
    const during = await measured();
    const refusedNow = async (): Promise<number> => (await sluice.status()).counters['refusedLogins'] ?? 0;
    await eventually(async () => (await refusedNow()) > 0, 30_000, 'nobody is refused');
    const { attempted: guesses, refused, closed, admitted } = await guesser.counts();
    const refusedLogins = await refusedNow();
    await guesser.stop();
    guesser = undefined;
    const { acknowledged, lostConnections } = await device.counts();
    await device.stop();
    const { ledger } = await sluice.drained();
    return {
      name: `${options.guessesPerSecond} wrong passwords per second, ${options.failuresPerAddress || 'no'} limit per address`,
      ...{ usual, during, guesses, refused, closed, admitted, refusedLogins, acknowledged },
      deviceLost: lostConnections,
      delivered: ledger.delivered,
    };
  } finally {
    await guesser?.stop();
    await device.stop();
    await sluice.discard();
    await rm(directory, { recursive: true, force: true });
  }
}

/** What is wrong, times aside. */
export function guessingProblems(report: GuessingReport): string[] {
  const { admitted, deviceLost, delivered, acknowledged, refusedLogins, guesses } = report;
  const wrong: string[] = [];
  if (admitted > 0) wrong.push(`${admitted} wrong passwords were let in`);
  if (deviceLost > 0) wrong.push('the device lost its connection');
  if (delivered < acknowledged) wrong.push(`${acknowledged - delivered} acknowledged messages are not in Kafka`);
  if (refusedLogins === 0 || guesses === 0) wrong.push('nobody guessed');
  return wrong;
}

export function guessingSummary({ name, usual, during, guesses, refused, closed }: GuessingReport): string {
  return (
    `${name}: device p99 ${usual.p99.toFixed(1)} -> ${during.p99.toFixed(1)} ms ` +
    `(p50 ${usual.p50.toFixed(1)} -> ${during.p50.toFixed(1)}); ${guesses} guesses, ${refused} refused, ${closed} turned away`
  );
}
