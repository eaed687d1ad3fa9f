/**
 * The headers of a record, in this order; those in brackets only where there is something to say:
 *
 *     mqtt-topic, mqtt-client-id
 *     mqtt-qos                           0, 1 or 2
 *     mqtt-retain                        true or false
 *     [content-type]                     MQTT 5 content type; mqtt-content-type where the route sets content-type itself
 *     [<name of the user property>]...   MQTT 5 user properties in the order of the packet; see routes/header-names.ts
 *     [mqtt-response-topic]              MQTT 5
 *     [mqtt-correlation-data]            MQTT 5, bytes
 *     [mqtt-message-expiry-interval]     MQTT 5, seconds from arrival
 *     [mqtt-payload-format-indicator]    MQTT 5, 1: the payload is UTF-8 text, 0: it is bytes
 *     [<the route's own headers>]...
 *     [<headers that the value brings>]...   ce_ of a CloudEvent, and its content-type
 *     sluice-id                          <logId>:<shard>:<offset>, names the message through all repeats
 *     [sluice-index]                     place in the batch, from 0, where one message makes several records
 *     sluice-route                       name of the route; with sluice-id and sluice-index it names the record
 *     [mqtt-dup]                         true: the publisher may have sent this message before
 *     [mqtt-will]                        true: a will
 *
 * and in a dead letter after them (the route's headers and sluice-route only where the route still is):
 *
 *     [sluice-user]                      user of the publisher
 *     [sluice-properties]                how many headers behind mqtt-retain are the publisher's properties
 *     sluice-error-code, sluice-error-reason
 *     [sluice-error-route]               route that made the record
 *     [sluice-original-topic], [sluice-original-partition]    where it was to go
 *     [sluice-error-attempt]
 *     [sluice-payload-truncated]         length of the payload before it was cut, in bytes
 *     [sluice-headers-dropped]           number of headers that did not fit, see dead-letter-record.ts
 */
export const H = {
  topic: 'mqtt-topic',
  clientId: 'mqtt-client-id',
  qos: 'mqtt-qos',
  retain: 'mqtt-retain',
  responseTopic: 'mqtt-response-topic',
  correlationData: 'mqtt-correlation-data',
  messageExpiryInterval: 'mqtt-message-expiry-interval',
  payloadFormatIndicator: 'mqtt-payload-format-indicator',
  dup: 'mqtt-dup',
  will: 'mqtt-will',
  id: 'sluice-id',
  index: 'sluice-index',
  route: 'sluice-route',
  user: 'sluice-user',
  properties: 'sluice-properties',
  errorCode: 'sluice-error-code',
  errorReason: 'sluice-error-reason',
  errorRoute: 'sluice-error-route',
  errorAttempt: 'sluice-error-attempt',
  originalTopic: 'sluice-original-topic',
  originalPartition: 'sluice-original-partition',
  payloadTruncated: 'sluice-payload-truncated',
  headersDropped: 'sluice-headers-dropped',
} as const;
