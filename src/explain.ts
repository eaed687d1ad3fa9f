/** What routes make of a message, told without connecting anywhere. */
import type { SluiceConfig } from './config/config.ts';
import { readRouteFile } from './config/route-files.ts';
import { explainMessage, type Explanation } from './forward/explain.ts';
import { Origin, type Message, type MessageProperties } from './message.ts';
import { compileRouteSet, type RouteSet } from './payload/index.ts';
import { validateTopicName } from './routes/index.ts';
import { SluiceError } from './errors.ts';

export type { Explanation, ExplainedRecord, ExplainedRoute } from './forward/explain.ts';

export interface ExplainRequest {
  readonly topic: string;
  readonly payload?: Buffer | string;
  readonly clientId?: string;
  readonly user?: string;
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  readonly properties?: MessageProperties;
  /** Milliseconds since the epoch; default: now. */
  readonly receivedAt?: number;
  /** When its turn comes, milliseconds since the epoch; default: now. */
  readonly now?: number;
  /** Of every topic; without it partitions are not told, for Kafka is not asked. */
  readonly partitions?: number;
}

/**
 * Which routes take a message, why the others do not, and the records, exactly as they would be written, but for sluice-id.
 * @throws SluiceError PUBLISH_REFUSED (no topic name), RoutesError
 */
export function explain({ routes }: Pick<SluiceConfig, 'routes'>, request: ExplainRequest): Explanation {
  return explainBy(compileRouteSet(routes, readRouteFile), request);
}

/** The same, by routes that are compiled already. */
export function explainBy(routes: RouteSet, request: ExplainRequest): Explanation {
  const wrong = validateTopicName(request.topic);
  if (wrong !== undefined) throw new SluiceError('PUBLISH_REFUSED', wrong);
  const message: Message = {
    clientId: request.clientId ?? 'client',
    user: request.user ?? '',
    topic: request.topic,
    payload: Buffer.from(request.payload ?? ''),
    qos: request.qos ?? 1,
    retain: request.retain ?? false,
    dup: false,
    origin: Origin.mqtt,
    receivedAt: request.receivedAt ?? Date.now(),
    properties: request.properties,
  };
  return explainMessage(routes, message, request);
}

/** As JSON: bytes as text, see shown(). */
export function plainExplanation({ routes, records, outcome }: Explanation): unknown {
  return {
    routes,
    records: records.map((record) => ({
      ...record,
      key: record.key === null ? null : shown(record.key),
      headers: record.headers.map(([name, value]) => [name, shown(value)]),
      value: shown(record.value),
    })),
    outcome,
  };
}

/** As text where it is some; control characters as escapes. */
export function shown(bytes: Buffer | null): string {
  if (bytes === null) return '(none)';
  const text = bytes.toString();
  if (!Buffer.from(text).equals(bytes)) return `base64 ${bytes.toString('base64')}`;
  return JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
}
