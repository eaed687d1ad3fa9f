import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCertificates } from '../../src/cli/certs.ts';
import { loadConfig } from '../../src/config/load.ts';

const repository = new URL('../../', import.meta.url);

describe('README.md', () => {
  it('shows a sluice.yaml that is valid beside the certificates of sluice certs', async () => {
    const text = await readFile(new URL('README.md', repository), 'utf8');
    const yaml = /```yaml\n(.*?)```/s.exec(text)?.[1] ?? '';
    const directory = await mkdtemp(join(tmpdir(), 'sluice-readme-'));
    await makeCertificates({ directory: join(directory, 'certs') });
    await writeFile(join(directory, 'sluice.yaml'), yaml);
    const { config } = loadConfig({ file: join(directory, 'sluice.yaml'), env: {} });
    expect(config.routes).toMatchObject([{ from: 'devices/{deviceId}/telemetry', to: 'iot.telemetry' }]);
    await rm(directory, { recursive: true });
  });

  it('links only to files that are there, and names the commands of package.json', async () => {
    const text = await readFile(new URL('README.md', repository), 'utf8');
    const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, link]) => link ?? '');
    expect(links.length).toBeGreaterThan(5);
    for (const link of links) await expect(readFile(new URL(link, repository)), link).resolves.toBeDefined();
    const { scripts } = JSON.parse(await readFile(new URL('package.json', repository), 'utf8')) as {
      scripts: Record<string, string>;
    };
    for (const [, script] of text.matchAll(/npm run ([a-z:]+)/g)) expect(Object.keys(scripts)).toContain(script);
  });
});
