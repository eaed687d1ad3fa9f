/** The process and the machine that sluice would run on: Node, file descriptors, the clock. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { LimitsConfig } from '../config/config.ts';
import { fault, ok, warning, type Finding } from './finding.ts';

const OLDEST_NODE = [20, 19] as const;
/** Beyond connections: listeners, the store, brokers, files. */
const OWN_DESCRIPTORS = 256;
const COMMAND_TIMEOUT_MS = 2_000;
/** Nobody has built this before; a machine that says so has no idea of the time. */
const EARLIEST = Date.UTC(2025, 0, 1);

export function nodeFinding(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return ok('machine', `Node ${version}`);
  return fault(
    'machine',
    `Node ${version} is too old`,
    `install Node ${OLDEST_NODE.join('.')} or newer (24 is recommended)`,
  );
}

export async function descriptorFinding({ connections }: Pick<LimitsConfig, 'connections'>): Promise<Finding> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  return judgeDescriptors(/^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1], connections);
}

/** `limit` as the system writes it; undefined: it does not say. */
export function judgeDescriptors(limit: string | undefined, connections: number): Finding {
  if (limit === undefined) return ok('machine', 'this system does not tell how many files may be open');
  const needed = connections + OWN_DESCRIPTORS;
  const may = limit === 'unlimited' ? Infinity : Number(limit);
  if (may >= needed) return ok('machine', `${limit} files may be open, for ${connections} connections`);
  return warning(
    'machine',
    `only ${limit} files may be open: limits.connections (${connections}) cannot be reached, and further connections fail`,
    `LimitNOFILE=${needed} in the systemd unit, or ulimit -n ${needed} before the start; or set limits.connections to ${Math.max(1, may - OWN_DESCRIPTORS)}`,
  );
}

export async function clockFinding(now = Date.now()): Promise<Finding> {
  if (now < EARLIEST)
    return fault(
      'clock',
      `the clock says ${new Date(now).toISOString()}`,
      'set it: certificates, tokens and the times of records go wrong with it',
    );
  const synchronized = await promisify(execFile)('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    timeout: COMMAND_TIMEOUT_MS,
  }).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
  if (synchronized === 'no')
    return warning(
      'clock',
      'the clock is not kept in step with a time server',
      'timedatectl set-ntp true, or run chrony',
    );
  const how =
    synchronized === 'yes' ? ', in step with a time server' : '; nobody here knows whether it is kept in step';
  return ok('clock', `${new Date(now).toISOString()}${how}`);
}

/** Of a server that tells its time. */
export function clockDifference(whose: string, itsTime: number, now: number): Finding {
  const seconds = Math.round(Math.abs(now - itsTime) / 1_000);
  if (seconds < 5) return ok('clock', `agrees with ${whose}`);
  return warning(
    'clock',
    `differs from that of ${whose} by ${seconds} s`,
    'keep both in step with a time server (chrony, systemd-timesyncd)',
  );
}
