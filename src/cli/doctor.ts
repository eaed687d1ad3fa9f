import { Command, Option } from 'commander';
import { examine, type Finding } from '../doctor/doctor.ts';
import { ExitCode } from './exit-codes.ts';
import { configOf, withConfig, type ConfigFlags } from './options.ts';
import { wantsColor } from './terminal.ts';

interface Flags extends ConfigFlags {
  readonly name?: string;
  readonly json?: true;
}

export function doctorCommand(): Command {
  return withConfig(new Command('doctor'))
    .description('look at ports, certificates, buffer, Kafka, clock and limits, and say how to mend what is wrong')
    .option('--name <host>', 'what clients write to get here: checks that the certificates cover it')
    .addOption(new Option('--json', 'as JSON'))
    .action(async (flags: Flags) => {
      const { config, file, warnings } = configOf(flags);
      const findings = await examine(config, { name: flags.name });
      const healthy = findings.every(({ state }) => state !== 'fault');
      if (flags.json === true)
        process.stdout.write(`${JSON.stringify({ healthy, file, warnings, findings }, null, 2)}\n`);
      else process.stdout.write(renderFindings(file, warnings, findings, wantsColor(process.stdout)));
      if (!healthy) process.exitCode = ExitCode.checkFailed;
    });
}

const signs = { ok: '✓', warning: '!', fault: '✗' } as const;
const colors = { ok: 32, warning: 33, fault: 31 } as const;

export function renderFindings(
  file: string | undefined,
  warnings: readonly string[],
  findings: readonly Finding[],
  color: boolean,
): string {
  const lines = [`${file ?? 'no file, the defaults'}: valid`, ...warnings.map((text) => `warning: ${text}`), ''];
  let last = '';
  for (const { check, state, what, mend } of findings.toSorted(byCheck)) {
    const sign = color ? `\u001b[${colors[state]}m${signs[state]}\u001b[0m` : signs[state];
    lines.push(`${(check === last ? '' : check).padEnd(13)} ${sign} ${what}`);
    if (mend !== undefined) lines.push(`${' '.repeat(16)}-> ${mend}`);
    last = check;
  }
  const count = (state: Finding['state']): number => findings.filter((each) => each.state === state).length;
  const say = (amount: number, what: string): string => `${amount} ${what}${amount === 1 ? '' : 's'}`;
  return `${[...lines, '', `${say(count('fault'), 'fault')}, ${say(count('warning'), 'warning')}`].join('\n')}\n`;
}

const order = ['machine', 'clock', 'ports', 'certificates', 'buffer', 'kafka'] as const;

function byCheck(a: Finding, b: Finding): number {
  return order.indexOf(a.check) - order.indexOf(b.check);
}
