import { describe, expect, it } from 'vitest';
import { prerequisites, refusal } from '../../scripts/services/prerequisites.mjs';

const [redis, java] = prerequisites;

describe('system packages that the services need', () => {
  it('are installed for root on Debian and its kin only', () => {
    expect(refusal([redis!], { debian: true, root: true })).toBeUndefined();
    expect(refusal([redis!], { debian: true, root: false })).toBeDefined();
    expect(refusal([redis!], { debian: false, root: true })).toBeDefined();
  });

  it('are named with the exact commands to anybody else on Debian', () => {
    const text = refusal([redis!, java!], { debian: true, root: false });
    expect(text).toContain('not installed: redis-server, Java 17 or newer.');
    expect(text).toContain('  sudo apt-get install -y redis-server openjdk-17-jre-headless\n');
  });

  it('can be replaced by running services elsewhere', () => {
    const text = refusal([redis!], { debian: false, root: true });
    expect(text).toMatch(/redis-server.*KAFKA_BROKERS and REDIS_URL/);
    expect(text).not.toContain('apt-get');
  });

  it('are all found on a machine that runs these tests', async () => {
    for (const each of prerequisites) expect(await each.found(), each.name).toBe(true);
  });
});
