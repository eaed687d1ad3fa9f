#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { certsCommand } from './certs-command.ts';
import { checkCommand } from './check.ts';
import { doctorCommand } from './doctor.ts';
import { explainCommand } from './explain.ts';
import { clientsCommand } from './clients.ts';
import { configCommand } from './config-command.ts';
import { ExitCode, exitCodeOf } from './exit-codes.ts';
import { importCommand } from './import.ts';
import { initCommand } from './init.ts';
import { routesCommand } from './routes.ts';
import { passwdCommand } from './passwd.ts';
import { startCommand } from './start.ts';
import { statusCommand } from './status.ts';
import { dlqCommand } from './dlq.ts';
import { printError } from './terminal.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('sluice')
  .description('An MQTT broker that writes to Kafka: a PUBACK means durable and ordered, also while Kafka is down.')
  .version(version)
  .addHelpText(
    'after',
    `
Exit codes: 0 done, 1 internal fault, 2 usage or configuration, 3 buffer store, 4 listener,
            5 no running sluice, 6 a check failed.

Without a configuration sluice listens on this machine only (MQTT 1883, WebSocket 8083, dashboard 8080), buffers in
./sluice-data and writes everything to the Kafka topic mqtt.messages on localhost:9092.`,
  )
  .exitOverride()
  .showHelpAfterError('(sluice --help lists commands and options)');
for (const command of [
  startCommand(),
  initCommand(),
  checkCommand(),
  doctorCommand(),
  explainCommand(),
  importCommand(),
  statusCommand(),
  clientsCommand(),
  routesCommand(),
  dlqCommand(),
  configCommand(),
  certsCommand(),
  passwdCommand(),
]) {
  // addCommand() does not hand the parent's settings down.
  program.addCommand(command.copyInheritedSettings(program));
  for (const child of command.commands) child.copyInheritedSettings(program);
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed what there is to say; --help and --version end here too, with code 0.
    process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  } else {
    printError(error);
    process.exit(exitCodeOf(error));
  }
}
