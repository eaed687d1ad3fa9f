/**
 * sluice as a library: an MQTT broker that writes to Kafka, inside your own process.
 *
 * @example
 * const sluice = createSluice({ kafka: { brokers: ['localhost:9092'] }, routes: [{ from: 'devices/#', to: 'iot' }] });
 * await sluice.start();
 * await sluice.publish({ topic: 'devices/d1', payload: '21.5', qos: 1 }); // resolves once it is durable
 * await sluice.stop();
 */
import { loadConfig } from './config/load.ts';
import type { SluiceConfigInput } from './config/schema.ts';
import { Sluice, type SluiceHooks } from './sluice.ts';

/**
 * Validates a configuration (the content of sluice.yaml as an object) and makes a sluice of it. Nothing runs before start().
 * Environment variables have no effect here.
 * @throws ConfigError with every problem, each with its path and the way out
 */
export function createSluice(config: SluiceConfigInput = {}, hooks: SluiceHooks = {}): Sluice {
  return new Sluice(loadConfig({ input: config, env: {} }).config, hooks);
}

export { loadConfig, type LoadedConfig, type LoadOptions } from './config/load.ts';
export { ConfigError, type Problem } from './config/problems.ts';
export type { SluiceConfig } from './config/config.ts';
export type { SluiceConfigInput } from './config/schema.ts';
export {
  explain,
  type ExplainRequest,
  type Explanation,
  type ExplainedRecord,
  type ExplainedRoute,
} from './explain.ts';
export { catalogue, SluiceError, type ErrorCode } from './errors.ts';
export type { Message, MessageProperties } from './message.ts';
export type { ReloadReport } from './reload.ts';
export type { Incident } from './report.ts';
export type { PublishRequest, Sluice, SluiceEvents, SluiceHooks } from './sluice.ts';
export type * from './status.ts';
