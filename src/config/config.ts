/** The configuration as the rest of sluice sees it: complete, times in milliseconds, sizes in bytes, units in the names. */
import { Duration, Size } from './fields.ts';
import type { ParsedConfig } from './schema.ts';

/** `appendTimeout` becomes `appendTimeoutMs`, `maxPacketSize` becomes `maxPacketSizeBytes`; `maxBytes` keeps its name. */
type Named<Key, Value> = Key extends string
  ? [NonNullable<Value>] extends [Duration]
    ? `${Key}Ms`
    : [NonNullable<Value>] extends [Size]
      ? Key extends `${string}Bytes`
        ? Key
        : `${Key}Bytes`
      : Key
  : Key;

type Resolved<Value> = Value extends Duration | Size
  ? number
  : Value extends string | number | boolean | null | undefined
    ? Value
    : Value extends readonly (infer Item)[]
      ? readonly Resolved<Item>[]
      : { readonly [Key in keyof Value as Named<Key, Value[Key]>]: Resolved<Value[Key]> };

type ResolvedConfig = Resolved<ParsedConfig>;
type ParsedRoute = ResolvedConfig['routes'][number];

/** A route, its name decided. Its templates and filter are checked and compiled by src/routes. */
export interface RouteConfig extends ParsedRoute {
  readonly name: string;
}

/** What a route is for, in one text: its filter, or its regular expression. */
export function sourceText({ from, regex }: Pick<RouteConfig, 'from' | 'regex'>): string {
  return from ?? regex ?? '';
}

export interface SluiceConfig extends Omit<ResolvedConfig, 'routes'> {
  readonly routes: readonly RouteConfig[];
}

export type ListenersConfig = SluiceConfig['listeners'];
export type MqttListenerConfig = NonNullable<ListenersConfig['mqtt']>;
export type WsListenerConfig = NonNullable<ListenersConfig['ws']>;
export type HttpListenerConfig = NonNullable<ListenersConfig['http']>;
export type TlsListenerConfig = NonNullable<ListenersConfig['mqtts']>['tls'];
export type BufferConfig = SluiceConfig['buffer'];
export type KafkaConfig = SluiceConfig['kafka'];
export type SaslConfig = NonNullable<KafkaConfig['sasl']>;
export type DownlinkConfig = SluiceConfig['downlinks'][number];
export type ForwardConfig = SluiceConfig['forward'];
export type AuthConfig = SluiceConfig['auth'];
export type LimitsConfig = SluiceConfig['limits'];
export type LogConfig = SluiceConfig['log'];

/** Units into names: the only step between what the schema yields and SluiceConfig. */
export function resolve(parsed: ParsedConfig): SluiceConfig {
  const resolved = resolveValue(parsed) as ResolvedConfig;
  return { ...resolved, routes: resolved.routes.map((route) => ({ ...route, name: route.name ?? sourceText(route) })) };
}

function resolveValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolveValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]: [string, unknown]) => {
      if (entry instanceof Duration) return [`${key}Ms`, entry.ms];
      if (entry instanceof Size) return [key.endsWith('Bytes') ? key : `${key}Bytes`, entry.bytes];
      return [key, resolveValue(entry)];
    }),
  );
}
