import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

const read = (path: string): string => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8');

interface Manifest {
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  spec: {
    replicas: number;
    ports: { name: string; port: number }[];
    template: {
      spec: {
        terminationGracePeriodSeconds: number;
        containers: {
          ports: { name: string; containerPort: number }[];
          readinessProbe: { httpGet: { port: string } };
        }[];
      };
    };
  };
}

describe.each([
  ['kubernetes/embedded.yaml', 'StatefulSet', 'level'],
  ['kubernetes/redis.yaml', 'Deployment', 'redis'],
])('%s', (file, kind, store) => {
  const manifests = parseAllDocuments(read(file)).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  });
  const find = (wanted: string): Manifest => manifests.find((manifest) => manifest.kind === wanted)!;

  it('mounts a configuration that is valid, whose ports are those of container, service and probes', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sluice-manifest-'));
    const path = join(directory, 'sluice.yaml');
    await writeFile(path, find('ConfigMap').data!['sluice.yaml']!);
    const { config } = loadConfig({ file: path, env: { HTTP_TOKEN: 'a-token-of-enough-characters' } });
    await rm(directory, { recursive: true });
    expect(config.buffer.store).toBe(store);
    const ports = [config.listeners.mqtt?.port, config.listeners.http?.port];
    const { spec } = find(kind).spec.template;
    const [container] = spec.containers;
    expect(container?.ports.map(({ containerPort }) => containerPort)).toEqual(ports);
    expect(find('Service').spec.ports.map(({ port }) => port)).toEqual(ports);
    expect(container?.readinessProbe.httpGet.port).toBe('http');
    expect(spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(config.shutdownTimeoutMs);
  });

  it('runs no second process on one embedded buffer', () => {
    expect(find(kind).spec.replicas > 1).toBe(store === 'redis');
  });
});

it('systemd gives a stop more time than shutdownTimeout takes, and a descriptor to each connection', () => {
  const unit = read('systemd/sluice.service');
  const { config } = loadConfig({ env: {} });
  const value = (key: string): string => new RegExp(`^${key}=(.+)$`, 'm').exec(unit)?.[1] ?? '';
  expect(Number(value('TimeoutStopSec')) * 1_000).toBeGreaterThan(config.shutdownTimeoutMs);
  expect(Number(value('LimitNOFILE'))).toBeGreaterThan(config.limits.connections);
  expect(value('ExecStart')).toMatch(/sluice start -c \/etc\/sluice\/sluice\.yaml$/);
});
