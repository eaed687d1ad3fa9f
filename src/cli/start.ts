import { createServer } from 'node:net';
import { Command } from 'commander';
import { errorText } from '../errors.ts';
import { createLog } from '../observe/log.ts';
import { Sluice } from '../sluice.ts';
import type { SluiceStatus } from '../status.ts';
import { configFileOf, configOf, withConfig, type ConfigFlags } from './options.ts';
import { approximateSize, printError } from './terminal.ts';
import { ExitCode } from './exit-codes.ts';

export function startCommand(): Command {
  return withConfig(new Command('start'))
    .description('run the broker, until SIGTERM or Ctrl-C')
    .action(async (flags: ConfigFlags) => start(flags));
}

async function start(given: ConfigFlags): Promise<void> {
  const flags = await withDashboard(given);
  const loaded = configOf(flags);
  const log = createLog(loaded.config.log);
  for (const warning of loaded.warnings) log.warn({ event: 'config.warning' }, warning);
  const sluice = new Sluice(loaded.config, { log });

  const ended = new Promise<void>((resolve) => {
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping) {
        // A second signal: somebody is in a hurry. What is buffered is safe; devices resend what was not acknowledged.
        process.exit(ExitCode.internal);
      }
      stopping = true;
      log.info({ event: 'process.signal', signal }, `${signal}: stopping`);
      sluice.stop().then(resolve, (error: unknown) => {
        printError(error);
        process.exitCode = ExitCode.internal;
        resolve();
      });
    };
    let stopping = false;
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
  // What reaches this point is a fault of ours. The process goes on only where nothing can have been half done; it cannot
  // know, so it ends, and what was acknowledged is in the buffer.
  process.on('uncaughtException', (error) => {
    log.fatal({ event: 'process.fault', error: errorText(error), stack: error.stack }, 'internal fault, ending');
    process.exit(ExitCode.internal);
  });

  // As for most servers: read the configuration and its files again. A bad one changes nothing.
  process.on('SIGHUP', () => {
    reload(sluice, flags).catch((error: unknown) => {
      log.error({ event: 'config.rejected', error: errorText(error) }, 'the configuration stays as it was');
    });
  });

  await sluice.start();
  process.stdout.write(renderStart(await sluice.status()));
  await ended;
  process.exit();
}

async function reload(sluice: Sluice, flags: ConfigFlags): Promise<void> {
  await sluice.reload(configOf(flags).config);
}

const DASHBOARD_PORT = 8080;

/** Who has said nothing of listeners gets the dashboard, too, unless something else has its port. */
export async function withDashboard(
  flags: ConfigFlags,
  env: Readonly<Record<string, string | undefined>> = process.env,
  port = DASHBOARD_PORT,
): Promise<ConfigFlags> {
  const said =
    configFileOf(flags) !== undefined ||
    Object.keys(flags.set).some((path) => path.startsWith('listeners.')) ||
    Object.keys(env).some((name) => name.startsWith('SLUICE_LISTENERS_'));
  if (said || !(await isFree(port))) return flags;
  return { ...flags, set: { ...flags.set, 'listeners.http.port': String(port) } };
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((done) => {
    server.once('error', () => done(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => done(true)));
  });
}

/** Where it listens, what is buffered, where to: a few lines. */
export function renderStart(status: SluiceStatus): string {
  const { buffer, kafka, ledger } = status;
  const lines = [
    `sluice ${status.version} is running (pid ${status.pid})`,
    ...status.listeners.map(({ name, url }) => `  ${name.startsWith('http') ? 'dashboard' : 'listening'}  ${url}`),
    `  buffer     ${buffer.durability}; ${ledger.buffered.toLocaleString('en-US')} messages wait (${approximateSize(buffer.bytes)})`,
    ...buffer.weak.map((weakness) => `             weaker than promised: ${weakness}`),
    ...status.routes.map((route) => `  route      ${route.from} -> ${route.to}`),
    `  kafka      ${kafka.brokers.join(', ')}`,
    `  try        mosquitto_pub -p ${portOf(status)} -t devices/d1/telemetry -q 1 -m 21.5`,
    `  next       sluice doctor, if something does not work; sluice init, for a commented sluice.yaml`,
  ];
  return `${lines.join('\n')}\n`;
}

function portOf(status: SluiceStatus): number {
  return status.listeners.find((listener) => listener.name === 'mqtt')?.port ?? 1883;
}
