import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adminSocketPath } from '../../src/http/admin.ts';
import { sharedKafka, uniqueTopic } from '../support/services.ts';
import { runSluice, SluiceProcess } from '../support/sluice.ts';

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'sluice-cli-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

describe('sluice', () => {
  it('--help lists commands and exit codes, --version the version of the package', async () => {
    const help = await runSluice(['--help']);
    expect(help.code).toBe(0);
    for (const word of ['start', 'check', 'status', 'config', 'certs', 'Exit codes'])
      expect(help.stdout).toContain(word);
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await runSluice(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  it('answers a wrong word with what it knows, and 2', async () => {
    const { code, stderr } = await runSluice(['strat']);
    expect(code).toBe(2);
    expect(stderr).toContain("unknown command 'strat'");
    expect(stderr).toContain('start');
    expect((await runSluice(['start', '--sett', 'a=b'])).code).toBe(2);
  });

  it('a bad configuration ends with 2 and names file, line, value and way out, without colour in a pipe', async () => {
    const path = await file('bad.yaml', 'listeners:\n  mqtt:\n    prot: 1883\nkafka:\n  brokers: [localhost]\n');
    for (const command of ['check', 'start']) {
      const { code, stderr } = await runSluice([command, '-c', path]);
      expect(code).toBe(2);
      expect(stderr).toContain(`${path}:3:5`);
      expect(stderr).toContain('port');
      expect(stderr).toContain(`${path}:5:`);
      expect(stderr).toContain('localhost');
      expect(stderr).not.toContain('\u001b[');
    }
  });

  it('init writes a sluice.yaml that is valid, and nothing over what is there', { timeout: 120_000 }, async () => {
    const path = join(directory, 'init.yaml');
    expect(await runSluice(['init', path])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('sluice start') as string,
    });
    expect((await runSluice(['check', '-c', path])).stdout).toContain('valid');
    await writeFile(path, 'log: { level: warn }\n');
    const again = await runSluice(['init', path]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('--force');
    expect(await readFile(path, 'utf8')).toBe('log: { level: warn }\n');
    expect((await runSluice(['init', path, '--force'])).code).toBe(0);
  });

  it('clients and routes show what the running sluice has, in words and as JSON', { timeout: 120_000 }, async () => {
    const sluice = await SluiceProcess.start({
      brokers: ['127.0.0.1:1'],
      routes: [{ name: 'telemetry', from: 'devices/#', to: 'iot' }],
    });
    const here = ['--set', `buffer.path=${sluice.path}`];
    const client = await connectAsync(sluice.url, { clientId: 'pump-7', protocolVersion: 5 });
    try {
      const clients = await runSluice(['clients', ...here, '--search', 'PUMP']);
      expect(clients).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/pump-7 .*MQTT 5.*\n1 of 1\n/) as string,
      });
      const json = await runSluice(['clients', ...here, '--json', '--limit', '1']);
      expect(JSON.parse(json.stdout)).toMatchObject({ total: 1, items: [{ clientId: 'pump-7', protocol: '5' }] });
      expect((await runSluice(['clients', ...here, '--search', 'x'])).stdout).toContain('0 of 0');
      expect((await runSluice(['routes', ...here])).stdout).toMatch(/telemetry +devices\/# +iot +0/);
      const routes = await runSluice(['routes', ...here, '--json']);
      expect(JSON.parse(routes.stdout)).toMatchObject({ items: [{ name: 'telemetry', records: 0 }] });
    } finally {
      await client.endAsync(true);
      await sluice.discard();
    }
    expect((await runSluice(['clients', ...here])).code).toBe(5);
  });

  it('check prints what would run', async () => {
    const path = await file('good.yaml', 'routes:\n  - { name: t, from: "devices/{id}/t", to: iot.t, key: "{id}" }\n');
    const { code, stdout } = await runSluice(['check', '-c', path]);
    expect(code).toBe(0);
    expect(stdout).toContain('valid');
    expect(stdout).toContain('devices/{id}/t');
    expect(stdout).toContain('iot.t');
  });

  it('check --connect looks at the topics, says what weakens the guarantee, and ends with 6 when Kafka is not there', async () => {
    const kafka = await sharedKafka();
    const topic = uniqueTopic('check');
    await kafka.createTopic(topic, 3);
    const path = await file('connect.yaml', `routes: [{ from: "a/#", to: ${topic} }]\n`);
    const there = await runSluice([
      'check',
      '-c',
      path,
      '--connect',
      '--set',
      `kafka.brokers=${kafka.brokers.join(',')}`,
    ]);
    expect(there.stdout).toContain(`${topic}: 3 partitions, 1 replicas`);
    expect(there.stdout).toContain('weaker than promised');
    expect(there.code).toBe(0);
    const away = await runSluice(['check', '-c', path, '--connect', '--set', 'kafka.brokers=127.0.0.1:1']);
    expect(away.code).toBe(6);
    expect(away.stdout).toContain('127.0.0.1:1');
  });

  it('config schema prints a JSON Schema, config reference Markdown', async () => {
    const schema = await runSluice(['config', 'schema']);
    expect(JSON.parse(schema.stdout)).toMatchObject({ type: 'object' });
    expect((await runSluice(['config', 'reference'])).stdout).toContain('buffer');
  });

  it('status without a running sluice ends with 5 and says where it looked', async () => {
    const { code, stderr } = await runSluice(['status', '--set', `buffer.path=${directory}`]);
    expect(code).toBe(5);
    expect(stderr).toContain('admin.sock');
  });

  it(
    'start on a port that is taken ends with 4 and names listener, port and way out',
    { timeout: 30_000 },
    async () => {
      const server = net.createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as net.AddressInfo;
      const path = join(directory, 'taken');
      const { code, stderr } = await runSluice([
        'start',
        ...['--set', `listeners.mqtt.port=${port}`, '--set', 'listeners.ws=false', '--set', `buffer.path=${path}`],
      ]);
      server.close();
      expect(code).toBe(4);
      expect(stderr).toContain(`port ${port}`);
      expect(stderr).toContain('listeners.mqtt.port');
    },
  );

  it('start with a Redis that is not there ends with 3', { timeout: 60_000 }, async () => {
    const { code, stderr } = await runSluice([
      'start',
      ...[
        '--set',
        'buffer.store=redis',
        '--set',
        'buffer.url=redis://127.0.0.1:1',
        '--set',
        `buffer.path=${join(directory, 'r')}`,
      ],
    ]);
    expect(code).toBe(3);
    expect(stderr).toContain('127.0.0.1:1');
  });
});

describe('a running sluice', () => {
  let sluice: SluiceProcess;
  beforeAll(async () => {
    sluice = await SluiceProcess.start({ brokers: ['127.0.0.1:1'] });
  });
  afterAll(() => sluice.discard());

  it('has said where it listens, what is buffered and where it goes', () => {
    expect(sluice.stdout).toContain(`mqtt://127.0.0.1:${sluice.port}`);
    expect(sluice.stdout).toContain('LevelDB, fsync per commit');
    expect(sluice.stdout).toContain('# -> mqtt.messages');
    expect(sluice.stdout).toContain('127.0.0.1:1');
  });

  it('answers sluice status, for people and as JSON', async () => {
    const text = await runSluice(['status', '--set', `buffer.path=${sluice.path}`]);
    expect(text).toMatchObject({ code: 0 });
    expect(text.stdout).toContain(`pid ${sluice.pid}`);
    expect(text.stdout).toContain('accepted 0 = buffered 0');
    const json = await runSluice(['status', '--json', '--set', `buffer.path=${sluice.path}`]);
    expect(JSON.parse(json.stdout)).toMatchObject({ pid: sluice.pid, state: 'running', ledger: { imbalance: 0 } });
  });

  it('lets only its owner use the admin socket', async () => {
    const { mode } = await stat(adminSocketPath(sluice.path));
    expect(mode & 0o777).toBe(0o600);
  });

  it('does not let a second one use its directory', { timeout: 30_000 }, async () => {
    const { code, stderr } = await runSluice([
      'start',
      '--set',
      'listeners.mqtt.port=0',
      '--set',
      'listeners.ws=false',
      '--set',
      `buffer.path=${sluice.path}`,
    ]);
    expect(code).toBe(3);
    expect(stderr).toContain(sluice.path);
    expect((await sluice.status()).state).toBe('running');
  });

  it('starts again where a killed one left its socket', { timeout: 30_000 }, async () => {
    await sluice.kill('SIGKILL');
    await sluice.start();
    expect((await sluice.status()).state).toBe('running');
  });
});
