import { describe, expect, it } from 'vitest';
import { branches, isSecret, knownKeys, nodeAt, textFields, type Path } from '../../src/config/shape.ts';

function everyPath(path: Path = []): Path[] {
  const node = nodeAt(path);
  const below = node?.items?.properties === undefined ? path : [...path, 0];
  return [...(path.length > 0 ? [path] : []), ...knownKeys(below).flatMap((key) => everyPath([...below, key]))];
}

describe('the schema', () => {
  it('describes every key in a sentence', () => {
    const paths = everyPath();
    expect(paths.length).toBeGreaterThan(70);
    const silent = paths.filter((path) => {
      const node = nodeAt(path);
      return (
        node !== undefined &&
        !branches(node)
          .concat(node)
          .some((branch) => branch.description?.endsWith('.'))
      );
    });
    expect(silent).toEqual([]);
  });

  it('gives every field that a text can set a variable of its own', () => {
    const variables = textFields().map((field) => field.variable);
    expect(new Set(variables).size).toBe(variables.length);
    expect(variables).toEqual(
      expect.arrayContaining([
        'SLUICE_KAFKA_BROKERS',
        'SLUICE_LISTENERS_MQTT_PORT',
        'SLUICE_BUFFER_STORE',
        'SLUICE_BUFFER_APPEND_TIMEOUT',
        'SLUICE_LISTENERS_MQTTS_TLS_CLIENT_CERTIFICATE',
        'SLUICE_KAFKA_SASL_PASSWORD',
        'SLUICE_SHUTDOWN_TIMEOUT',
      ]),
    );
    expect(variables.filter((name) => name.startsWith('SLUICE_ROUTES'))).toEqual([]);
  });

  it('knows what is secret, and suspects unknown keys by their name', () => {
    expect(isSecret(['kafka', 'sasl', 'password'])).toBe(true);
    expect(isSecret(['kafka', 'sasl', 'clientSecret'])).toBe(true);
    expect(isSecret(['kafka', 'sasl', 'tokenEndpoint'])).toBe(false);
    expect(isSecret(['kafka', 'sasl', 'pasword'])).toBe(true);
    expect(isSecret(['buffer', 'redisPassword'])).toBe(true);
    expect(isSecret(['buffer', 'shard'])).toBe(false);
  });
});
