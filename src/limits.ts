/** limits: and acl: of the configuration, as the stations take them, at start and at a reload. */
import type { AccessControl } from './auth/access/control.ts';
import type { LimitsConfig } from './config/config.ts';
import type { Ingest } from './ingest/ingest.ts';
import type { PublishLimits } from './ingest/permission.ts';
import type { RateLimits } from './ingest/throttle.ts';
import type { FilterLimits } from './mqtt/access.ts';
import type { MqttBroker, MqttBrokerOptions } from './mqtt/broker.ts';
import type { Listeners, ListenerSurroundings } from './mqtt/listeners/listeners.ts';
import type { Reloadable } from './reload.ts';

export function publishLimits({ topicLevels, topicMaxBytes, maxPayloadSizeBytes }: LimitsConfig): PublishLimits {
  return { topicLevels, topicMaxBytes, payloadMaxBytes: maxPayloadSizeBytes };
}

export function rateLimits({ messagesPerSecond, bytesPerSecondBytes, overRate }: LimitsConfig): RateLimits {
  return { messagesPerSecond, bytesPerSecond: bytesPerSecondBytes, overRate };
}

function filterLimits({ topicLevels, topicMaxBytes, subscriptionsPerClient }: LimitsConfig): FilterLimits {
  return { topicLevels, topicMaxBytes, subscriptionsPerClient };
}

export function mqttLimits(limits: LimitsConfig): MqttBrokerOptions['limits'] {
  return {
    maxPacketSizeBytes: limits.maxPacketSizeBytes,
    connectTimeoutMs: limits.connectTimeoutMs,
    filters: filterLimits(limits),
    sessionExpiryMaxSeconds: Math.round(limits.sessionExpiryMs / 1000),
    keepAliveMaxSeconds: Math.floor(limits.maxKeepAliveMs / 1000),
    receiveMaximum: limits.receiveMaximum,
    inFlightMax: limits.maxInflight,
    connectionsPerUser: limits.connectionsPerUser,
  };
}

export function listenerLimits(limits: LimitsConfig): ListenerSurroundings['limits'] {
  const { connectionsPerAddress, ...rest } = limits;
  return connectionsPerAddress === 0 ? rest : { ...rest, connectionsPerAddress };
}

export function reloadableAccess(access: AccessControl, broker: MqttBroker): Reloadable {
  return {
    paths: ['acl'],
    prepare: ({ acl }, changed) => {
      const rules = access.compile(acl);
      return {
        apply: () => {
          if (!changed) return;
          access.replace(rules);
          broker.judgeAnew();
        },
      };
    },
  };
}

/** Sizes of packets, times, and the life of sessions are set up with a connection: they wait for a restart. */
export function reloadableLimits(ingest: Ingest, broker: MqttBroker, listeners: Listeners): Reloadable {
  const names = [
    'connections',
    'connectionsPerAddress',
    'connectionsPerUser',
    'tlsHandshakes',
    'messagesPerSecond',
    'bytesPerSecondBytes',
    'overRate',
    'maxPayloadSizeBytes',
    'topicLevels',
    'topicMaxBytes',
    'subscriptionsPerClient',
  ];
  return {
    paths: names.map((name) => `limits.${name}`),
    prepare: ({ limits }, changed) => ({
      apply: () => {
        if (!changed) return;
        ingest.limit(publishLimits(limits), rateLimits(limits));
        broker.limit(filterLimits(limits), limits.connectionsPerUser);
        listeners.limit(listenerLimits(limits));
      },
    }),
  };
}
