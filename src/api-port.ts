/** What is asked over HTTP and the admin socket, answered by what runs. */
import type { SluiceConfig } from './config/config.ts';
import { redact } from './config/describe.ts';
import type { DeadLetterDesk } from './dead-letters.ts';
import { SluiceError } from './errors.ts';
import type { ApiPort, PageRequest } from './http/port.ts';
import type { MqttBroker } from './mqtt/broker.ts';
import type { RecentDeadLetter, SluiceStatus } from './status.ts';

export interface Asked {
  status(): Promise<SluiceStatus>;
  metrics(): Promise<string>;
  recentDeadLetters(): readonly RecentDeadLetter[];
  durations: ApiPort['durations'];
  explain: ApiPort['explain'];
  /** undefined: it does not run yet, or no longer. */
  deadLetters(): DeadLetterDesk | undefined;
  config(): SluiceConfig;
  /** undefined: it does not run yet, or no longer. */
  broker(): MqttBroker | undefined;
  publish: ApiPort['publish'];
}

const SESSIONS_TIMEOUT_MS = 1_000;
const nothing = { total: 0, items: [] } as const;

export function apiPort(asked: Asked): ApiPort {
  return {
    publish: (sender, messages) => asked.publish(sender, messages),
    status: () => asked.status(),
    metrics: () => asked.metrics(),
    clients: (request: PageRequest) => asked.broker()?.listClients(request) ?? nothing,
    subscriptions: (request: PageRequest) => asked.broker()?.listSubscriptions(request) ?? nothing,
    sessions: async () => ({
      connected: asked.broker()?.clients().total ?? 0,
      offline: await offlineSessions(asked.broker()),
    }),
    recentDeadLetters: () => asked.recentDeadLetters(),
    durations: () => asked.durations(),
    explain: (request) => asked.explain(request),
    storedDeadLetters: async (filter, limit) => deskOf(asked).newest(filter, limit),
    replayDeadLetters: async (filter, dryRun) => deskOf(asked).replay(filter, { dryRun }),
    configuration: () => redact(asked.config()),
    disconnect: (clientId) => asked.broker()?.disconnect(clientId) ?? false,
  };
}

function deskOf(asked: Asked): DeadLetterDesk {
  const desk = asked.deadLetters();
  if (desk === undefined) throw new SluiceError('NOT_RUNNING', 'sluice does not run yet, or no longer');
  return desk;
}

async function offlineSessions(broker: MqttBroker | undefined): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, SESSIONS_TIMEOUT_MS, undefined)));
  const count = await Promise.race([broker?.offlineSessions().catch(() => undefined), late]);
  clearTimeout(timer);
  return count;
}
