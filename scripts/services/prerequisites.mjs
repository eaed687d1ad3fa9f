import { execFile } from 'node:child_process';
import { access, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { cacheDirectory, withLock } from './directories.mjs';
import { java } from './kafka-libraries.mjs';
import { mosquittoCommands } from './mosquitto.mjs';

const run = promisify(execFile);
const APT_TIMEOUT_MS = 540_000;
const OLDEST_JAVA = 17;

async function answers(command, args) {
  try {
    const { stdout, stderr } = await run(command, args);
    return `${stdout}${stderr}`;
  } catch (error) {
    // Some programs print their version and exit with another code than 0.
    return error.code === 'ENOENT' ? undefined : `${error.stdout ?? ''}${error.stderr ?? ''}`;
  }
}

async function hasJava() {
  const version = await answers(java(), ['-version']);
  const major = /version "(\d+)/.exec(version ?? '')?.[1];
  return major !== undefined && Number(major) >= OLDEST_JAVA;
}

const has = (command, argument) => async () => (await answers(command, [argument])) !== undefined;

async function hasMosquitto() {
  const found = await Promise.all(mosquittoCommands.map((command) => has(command, '-h')()));
  return found.includes(true);
}

/** The programs that the services and tests need, and Debian's packages that hold them, the preferred one first. */
export const prerequisites = [
  { name: 'redis-server', found: has('redis-server', '--version'), packages: ['redis-server'] },
  {
    name: `Java ${OLDEST_JAVA} or newer`,
    found: hasJava,
    packages: ['openjdk-17-jre-headless', 'openjdk-21-jre-headless', 'default-jre-headless'],
  },
  { name: 'mvn', found: has('mvn', '--version'), packages: ['maven'] },
  { name: 'kcat', found: has('kcat', '-V'), packages: ['kcat'] },
  { name: 'mosquitto_pub', found: has('mosquitto_pub', '--help'), packages: ['mosquitto-clients'] },
  { name: 'mosquitto', found: hasMosquitto, packages: ['mosquitto'] },
];

/** What only some tests need: they say why they are skipped where it cannot be had. */
export const tools = {
  chromium: { name: 'chromium', found: has('chromium', '--version'), packages: ['chromium', 'chromium-browser'] },
  prometheus: { name: 'promtool', found: has('promtool', '--version'), packages: ['prometheus'] },
};

async function isDebian() {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(release);
}

async function missing(wanted) {
  const found = await Promise.all(wanted.map((one) => one.found()));
  return wanted.filter((_, index) => !found[index]);
}

async function available(name) {
  const policy = await answers('apt-cache', ['policy', name]);
  return /Candidate: (?!\(none\))/.test(policy ?? '');
}

async function choose({ packages }) {
  for (const name of packages) if (await available(name)) return name;
  return packages[0];
}

async function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    env,
    timeout: APT_TIMEOUT_MS,
    maxBuffer: 1 << 26,
  });
}

/** A machine must not run a Redis or a broker of its own because our tests wanted the program. */
const NO_DAEMONS = 'exit 101';

async function install(wanted, say) {
  say(`${wanted.map(({ name }) => name).join(', ')} missing: installing Debian packages as root with apt-get`);
  await aptGet('update').catch(() => aptGet('update'));
  const packages = [];
  for (const one of wanted) packages.push(await choose(one));
  say(`apt-get install ${packages.join(' ')}`);
  const policy = '/usr/sbin/policy-rc.d';
  const ours = await access(policy).then(
    () => false,
    () => true,
  );
  if (ours) await writeFile(policy, `#!/bin/sh\n${NO_DAEMONS}\n`, { mode: 0o755 });
  try {
    const once = () => aptGet('install', '-y', '--no-install-recommends', ...packages);
    await once().catch((error) => {
      say(
        `apt-get failed (${String(error.stderr ?? error.message)
          .trim()
          .split('\n')
          .pop()}); trying once more`,
      );
      return once();
    });
  } finally {
    if (ours) await rm(policy, { force: true });
  }
}

/** Why these cannot be installed here, and what a person can do; undefined where they can be. */
export function refusal(wanted, { debian, root }) {
  if (debian && root) return undefined;
  const missingNames = `not installed: ${wanted.map(({ name }) => name).join(', ')}.`;
  const packages = wanted.map(({ packages: [first] }) => first).join(' ');
  if (!debian) {
    return (
      `${missingNames} Please install them (Debian's packages are ${packages}), ` +
      'or for the demo give a running Kafka and Redis in KAFKA_BROKERS and REDIS_URL.'
    );
  }
  return `${missingNames} Please run:\n\n  sudo apt-get update\n  sudo apt-get install -y ${packages}\n`;
}

/**
 * Makes sure that the programs are there. Installs what is missing only as root on Debian or Ubuntu, after saying so;
 * anywhere else it throws an error with the commands to run.
 */
export async function ensurePrerequisites(say = () => {}, needed = prerequisites) {
  if ((await missing(needed)).length === 0) return;
  await withLock(path.join(cacheDirectory(), 'apt.lock'), async () => {
    const wanted = await missing(needed);
    if (wanted.length === 0) return;
    const reason = refusal(wanted, { debian: await isDebian(), root: process.getuid?.() === 0 });
    if (reason !== undefined) throw new Error(reason);
    await install(wanted, say);
    const still = await missing(needed);
    if (still.length > 0)
      throw new Error(`still missing after the installation: ${still.map(({ name }) => name).join(', ')}`);
  });
}
