/** What would run, for people: `sluice check` and the lines at start. Secrets are never part of it. */
import { sourceText, type KafkaConfig, type SluiceConfig } from './config.ts';
import { formatDuration, formatSize } from './fields.ts';
import { isSecret, type Path } from './shape.ts';
import { withoutCredentials } from './source-text.ts';

/** The same configuration with secrets masked, also those in URLs. */
export function redact(config: SluiceConfig): SluiceConfig {
  return masked(config, []) as SluiceConfig;
}

function masked(value: unknown, path: Path): unknown {
  if (Array.isArray(value)) return value.map((item, index) => masked(item, [...path, index]));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, masked(entry, [...path, key])]));
  }
  if (typeof value !== 'string') return value;
  return isSecret(path) ? '***' : withoutCredentials(value);
}

/** A few aligned lines: what listens, what is kept where, what goes where. */
export function describeConfig(config: SluiceConfig): string {
  const { buffer, kafka, routes, deadLetter, limits, forward, shutdownTimeoutMs, log } = redact(config);
  const store = buffer.store === 'redis' ? `redis at ${buffer.url ?? ''}, namespace ${buffer.namespace}` : buffer.store;
  const rows: [string, string][] = [
    ...listenerRows(config),
    ...authRows(config),
    [
      'limits',
      `${limits.connections} connections, packets of ${formatSize(limits.maxPacketSizeBytes)}, CONNECT within ${formatDuration(limits.connectTimeoutMs)}`,
    ],
    [
      'buffer',
      `${store}; ${buffer.shards} shards; ${formatSize(buffer.maxBytes)}, slower from ${Math.round(buffer.softLimit * 100)}%; append within ${formatDuration(buffer.appendTimeoutMs)}`,
    ],
    ['data', buffer.path],
    [
      'kafka',
      `${kafka.brokers.join(', ')} as ${kafka.clientId}; ${securityOf(kafka)}; compression ${kafka.compression}; ${kafka.idempotent ? 'idempotent' : 'not idempotent'}`,
    ],
    ['topics', topicsOf(kafka)],
    ...routes.map((route): [string, string] => {
      const { name, to, key } = route;
      const from = sourceText(route);
      return [
        'route',
        `${name === from ? '' : `${name}: `}${from} -> ${to}, ${key === null ? 'no key' : `key ${key}`}`,
      ];
    }),
    ['dead letters', `-> ${deadLetter.topic}`],
    [
      'forward',
      `chunks of ${forward.chunkRecords} records or ${formatSize(forward.chunkBytes)}, again after ${formatDuration(forward.retry.minMs)} to ${formatDuration(forward.retry.maxMs)}`,
    ],
    ['shutdown', `delivers for up to ${formatDuration(shutdownTimeoutMs)}`],
    ['log', `${log.level}, ${log.format}`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, text]) => `${name.padEnd(width)}${text}\n`).join('');
}

function listenerRows({ listeners }: SluiceConfig): [string, string][] {
  const { mqtt, mqtts, ws, wss, http } = listeners;
  const at = ({ host, port }: { host: string; port: number }): string =>
    `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const origins = (allowed: readonly string[]): string =>
    allowed.length === 0 ? 'no web pages' : `web pages of ${allowed.join(', ')}`;
  const tls = ({ minVersion, clientCertificate }: NonNullable<typeof mqtts>['tls']): string =>
    `TLS ${minVersion} or newer, client certificate ${clientCertificate}`;
  return [
    ...(mqtt ? [['listener', `mqtt://${at(mqtt)}`] as [string, string]] : []),
    ...(mqtts ? [['listener', `mqtts://${at(mqtts)}, ${tls(mqtts.tls)}`] as [string, string]] : []),
    ...(ws ? [['listener', `ws://${at(ws)}${ws.path}, ${origins(ws.origins)}`] as [string, string]] : []),
    ...(wss
      ? [['listener', `wss://${at(wss)}${wss.path}, ${origins(wss.origins)}, ${tls(wss.tls)}`] as [string, string]]
      : []),
    ...(http ? [['listener', httpRow(http, at(http))] as [string, string]] : []),
  ];
}

function httpRow({ tls, tokens }: NonNullable<SluiceConfig['listeners']['http']>, at: string): string {
  const holders = tokens.map(({ name, role }) => `${name} (${role})`).join(', ');
  return `${tls === undefined ? 'http' : 'https'}://${at}, ${holders === '' ? 'no token needed' : `tokens of ${holders}`}`;
}

function authRows(config: SluiceConfig): [string, string][] {
  const { auth } = redact(config);
  const { users, jwt, http, clientCertificate, clientId, failures } = auth;
  const ways: Record<(typeof auth.order)[number], string | undefined> = {
    clientCertificate: clientCertificate && `client certificates by ${clientCertificate.identity}`,
    jwt: jwt && `tokens (${jwt.secret === undefined ? (jwt.keyFile ?? jwt.jwks ?? '') : 'secret'})`,
    users: users && `users of ${users}`,
    http: http && `${http.url}`,
  };
  const list = auth.order.flatMap((name) => ways[name] ?? []);
  const anonymous = auth.allowAnonymous
    ? 'anonymous ones are accepted, on every listener'
    : list.length > 0
      ? 'anonymous ones are refused'
      : 'anonymous ones are accepted on this machine only';
  const limit = failures.perAddress === 0 ? 'any number of' : failures.perAddress;
  return [
    ['clients', [...list, anonymous].join(', then ')],
    ...(list.length === 0
      ? []
      : [['failures', `${limit} per address in ${formatDuration(failures.windowMs)}`] as [string, string]]),
    ...(clientId === undefined ? [] : [['client ids', clientId] as [string, string]]),
  ];
}

function securityOf({ tls, sasl }: KafkaConfig): string {
  const login =
    sasl === undefined
      ? 'no SASL'
      : sasl.mechanism === 'oauthbearer'
        ? `oauthbearer as ${sasl.clientId}`
        : `${sasl.mechanism} as ${sasl.username}`;
  return `${tls === undefined ? 'no TLS' : 'TLS'}, ${login}`;
}

function topicsOf({ createTopics: { enabled, partitions, replicationFactor } }: KafkaConfig): string {
  if (!enabled) return 'must exist';
  return `created where missing: partitions ${partitions ?? 'as the cluster says'}, replication factor ${replicationFactor ?? 'as the cluster says'}`;
}
