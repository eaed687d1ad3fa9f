/** From the `schemaRegistry` section of the configuration to the schemas that routes encode with. */
import { readFileSync } from 'node:fs';
import type { SluiceConfig } from './config/config.ts';
import { RegistryClient, Schemas } from './payload/index.ts';
import type { SchemaEvents } from './payload/registry/schemas.ts';

const RETRY_MIN_MS = 250;

type RegistryConfig = NonNullable<SluiceConfig['schemaRegistry']>;

/** Asks for nothing before it is started. */
export function openSchemas(config: RegistryConfig, events: SchemaEvents): Schemas {
  const client = new RegistryClient({
    url: config.url,
    credentials: credentials(config),
    requestTimeoutMs: config.timeoutMs,
  });
  return new Schemas(
    client,
    {
      refreshMs: config.refreshMs,
      retryMinMs: Math.min(RETRY_MIN_MS, config.retryMaxMs),
      retryMaxMs: config.retryMaxMs,
      random: Math.random,
      autoRegister: config.autoRegister,
    },
    events,
  );
}

function credentials({ username, password, passwordFile }: RegistryConfig) {
  if (username === undefined) return undefined;
  // A file may be replaced: it is read when it is needed.
  return () => ({ username, password: password ?? readFileSync(passwordFile ?? '', 'utf8').trimEnd() });
}
