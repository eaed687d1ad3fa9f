/** The status as metrics. What varies in a label is bounded here where it is not bounded by the configuration or the code. */
import type { SluiceStatus } from '../status.ts';
import type { Reading, Sample } from './reading.ts';

/** Lanes with a line of their own, those with the most records first: a route may make a topic per device. */
const LANES_MAX = 500;
/** Values of a label that comes from a list in the code, as kinds of faults do; a guard, not an expectation. */
const KINDS_MAX = 200;

type Counts = Readonly<Record<string, number>>;

export function statusReadings(status: SluiceStatus, now: number): Reading[] {
  return [
    ...processReadings(status),
    ...connectionReadings(status),
    ...messageReadings(status),
    ...bufferReadings(status, now),
    ...kafkaReadings(status, now),
    ...downlinkReadings(status),
    ...ledgerReadings(status),
  ];
}

function processReadings({ version, state, totals }: SluiceStatus): Reading[] {
  return [
    gauge('sluice_build_info', 'The version that runs.', [{ value: 1, labels: { version } }]),
    gauge('sluice_running', '1 while it takes messages.', state === 'running' ? 1 : 0),
    counter(
      'sluice_events_total',
      'Things that went wrong or came right again, by their name in the log; also those the log keeps quiet.',
      kinds('event', totals.events),
    ),
  ];
}

function connectionReadings({ connections, counters, totals }: SluiceStatus): Reading[] {
  const { v31, v311, v5 } = connections.clients;
  return [
    gauge('sluice_connections', 'Sockets that are open, whatever they have got to.', connections.open),
    gauge('sluice_clients', 'MQTT clients that are connected, by protocol version.', [
      { value: v31, labels: { protocol: '3.1' } },
      { value: v311, labels: { protocol: '3.1.1' } },
      { value: v5, labels: { protocol: '5' } },
    ]),
    counter('sluice_connections_turned_away_total', 'Connections beyond limits.connections.', connections.turnedAway),
    counter(
      'sluice_connections_refused_total',
      'Connections that were closed because the buffer did not take what they brought.',
      counters['refusedConnections'],
    ),
    counter('sluice_received_bytes_total', 'Bytes read from MQTT sockets.', connections.receivedBytes),
    counter('sluice_sent_bytes_total', 'Bytes written to MQTT sockets.', connections.sentBytes),
    counter('sluice_packets_received_total', 'MQTT packets by type.', kinds('type', totals.packets)),
  ];
}

function messageReadings({ counters, totals }: SluiceStatus): Reading[] {
  return [
    counter('sluice_publishes_received_total', 'PUBLISH packets of clients, by QoS.', [
      { value: counters['publishedQos0'] ?? 0, labels: { qos: '0' } },
      { value: counters['publishedQos1'] ?? 0, labels: { qos: '1' } },
      { value: counters['publishedQos2'] ?? 0, labels: { qos: '2' } },
    ]),
    counter('sluice_publishes_acknowledged_total', 'PUBACK and PUBREC sent.', counters['acknowledged']),
    counter('sluice_publishes_forwarded_total', 'Messages written to MQTT subscribers.', counters['forwarded']),
    counter(
      'sluice_publishes_undelivered_total',
      'Messages kept from MQTT subscribers that do not read.',
      counters['undelivered'],
    ),
    counter(
      'sluice_messages_refused_total',
      'Messages that were not acknowledged, by the code of the error (docs/errors.md) or rule.',
      kinds('reason', totals.refused),
    ),
    counter(
      'sluice_qos0_dropped_total',
      'QoS 0 messages that were dropped because the buffer was full or failed.',
      (counters['droppedQos0'] ?? 0) + (counters['refusedQos0'] ?? 0),
    ),
    counter(
      'sluice_messages_throttled_total',
      'Messages that came faster than their client may publish (limits): they waited, or ended its connection.',
      counters['throttled'],
    ),
    counter('sluice_messages_unrouted_total', 'Messages that match no route.', counters['unrouted']),
    counter(
      'sluice_qos2_duplicates_total',
      'QoS 2 messages that came again and were not taken twice.',
      counters['qos2Duplicates'],
    ),
    counter('sluice_wills_sent_total', 'Wills that were published.', counters['willsSent']),
    counter(
      'sluice_broker_faults_total',
      'Faults of session store and broker that clients did not see.',
      counters['faults'],
    ),
  ];
}

function bufferReadings({ buffer }: SluiceStatus, now: number): Reading[] {
  const each = (value: (shard: (typeof buffer.shards)[number]) => number): Sample[] =>
    buffer.shards.map((shard) => ({ value: value(shard), labels: { shard: String(shard.shard) } }));
  return [
    gauge(
      'sluice_buffer_up',
      '1 while the buffer takes messages, 0 while it does not.',
      buffer.error === undefined ? 1 : 0,
    ),
    gauge(
      'sluice_durability_weaknesses',
      'Points in which store and Kafka are set up weaker than the guarantees ask for.',
      buffer.weak.length,
    ),
    gauge('sluice_buffer_max_bytes', 'Hard limit of the buffer, bytes.', buffer.maxBytes),
    gauge(
      'sluice_buffer_messages',
      'Messages that Kafka does not have yet.',
      each(({ buffered }) => buffered),
    ),
    gauge(
      'sluice_buffer_bytes',
      'Bytes of the buffer that are in use.',
      each(({ bytes }) => bytes),
    ),
    gauge(
      'sluice_buffer_parked_messages',
      'Messages that wait apart from the log because their topic cannot be written.',
      each(({ parked }) => parked.reduce((sum, { messages }) => sum + messages, 0)),
    ),
    gauge(
      'sluice_buffer_oldest_age_seconds',
      'Age of the oldest message of the log that Kafka does not have yet; of shards that this process forwards.',
      each(({ oldestAt }) => ageSeconds(oldestAt, now)),
    ),
    gauge(
      'sluice_buffer_set_aside_frames',
      'Corrupt frames that were set aside.',
      each(({ setAside }) => setAside),
    ),
    gauge(
      'sluice_shard_owned',
      '1 where this process forwards the shard.',
      each(({ owned }) => (owned ? 1 : 0)),
    ),
  ];
}

function kafkaReadings({ kafka, routes, deadLetters, counters, totals }: SluiceStatus, now: number): Reading[] {
  const busiest = [...kafka.lanes].sort((a, b) => b.queued - a.queued);
  const shown = busiest.slice(0, LANES_MAX);
  const rest = busiest.slice(LANES_MAX);
  const lanes = (value: (lane: (typeof shown)[number]) => number, join: (values: number[]) => number): Sample[] => [
    ...shown.map((lane) => ({ value: value(lane), labels: laneLabels(lane.topic, String(lane.partition)) })),
    ...(rest.length > 0 ? [{ value: join(rest.map(value)), labels: laneLabels('(other)', '') }] : []),
  ];
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  const max = (values: number[]): number => values.reduce((most, value) => Math.max(most, value), 0);
  return [
    gauge(
      'sluice_kafka_up',
      '1 while Kafka takes records, 0 while the cluster is away.',
      kafka.error === undefined ? 1 : 0,
    ),
    gauge('sluice_kafka_topics_failing', 'Topics that cannot be written now.', kafka.failingTopics),
    gauge(
      'sluice_lane_queued_records',
      'Records that wait for one partition, those in flight included.',
      lanes(({ queued }) => queued, sum),
    ),
    gauge(
      'sluice_lane_oldest_age_seconds',
      'Age of the oldest record that waits for one partition.',
      lanes(({ oldestAt }) => ageSeconds(oldestAt, now), max),
    ),
    gauge(
      'sluice_lane_fault_seconds',
      'How long one partition has not taken records; 0: it does.',
      lanes(({ faultMs }) => (faultMs ?? 0) / 1e3, max),
    ),
    counter('sluice_kafka_records_total', 'Records that Kafka confirmed.', counters['records']),
    counter('sluice_kafka_chunks_sent_total', 'Chunks sent, repeats included.', counters['requests']),
    counter('sluice_kafka_retries_total', 'Chunks sent again.', counters['retries']),
    counter('sluice_kafka_faults_total', 'Chunks that came back, by what the fault is about and its name.', [
      ...split(totals.kafkaFaults).map(([scope, reason, value]) => ({ value, labels: { scope, reason } })),
    ]),
    counter(
      'sluice_route_records_total',
      'Records made for a route; what is read again after a restart counts again.',
      routes.map(({ name, records }) => ({ value: records, labels: { route: name } })),
    ),
    counter(
      'sluice_dead_letters_total',
      'Records that became dead letters, by route and code.',
      deadLetters.map(({ route, code, records }) => ({ value: records, labels: { route, code } })),
    ),
  ];
}

function downlinkReadings({ downlinks }: SluiceStatus): Reading[] {
  const each = (value: (downlink: (typeof downlinks)[number]) => number): Sample[] =>
    downlinks.map((downlink) => ({ value: value(downlink), labels: { downlink: downlink.name } }));
  return [
    gauge(
      'sluice_downlink_up',
      '1 while a downlink reads from Kafka.',
      each(({ error }) => (error === undefined ? 1 : 0)),
    ),
    counter(
      'sluice_downlink_records_total',
      'Records that were read from Kafka; what is read again after a restart or rebalance counts again.',
      each(({ records }) => records),
    ),
    counter(
      'sluice_downlink_settled_total',
      'What became of records of Kafka: delivered, deadLettered, or the rule by which they ended.',
      downlinks.flatMap(({ name, outcomes }) =>
        Object.entries(outcomes).map(([result, value]) => ({ value, labels: { downlink: name, result } })),
      ),
    ),
    gauge(
      'sluice_downlink_open_records',
      'Records that were read and may not be committed yet.',
      each(({ open }) => open),
    ),
    gauge(
      'sluice_downlink_open_bytes',
      'What records that are not settled hold of memory.',
      each(({ openBytes }) => openBytes),
    ),
    gauge(
      'sluice_downlink_held_records',
      'Records that wait for a subscriber.',
      each(({ held }) => held),
    ),
    gauge(
      'sluice_downlink_paused_partitions',
      'Partitions that are not read for want of room.',
      each(({ paused }) => paused),
    ),
    gauge(
      'sluice_downlink_lag_records',
      'Records of the partitions of this process that are not settled, as far as Kafka has told.',
      each(({ lag }) => lag),
    ),
  ];
}

function ledgerReadings({ ledger }: SluiceStatus): Reading[] {
  const { accepted, buffered, delivered, deadLettered, expired, discarded, imbalance } = ledger;
  return [
    counter('sluice_ledger_accepted_total', 'Messages taken, since the buffer was made.', accepted),
    counter('sluice_ledger_delivered_total', 'Messages of which a record is in Kafka.', delivered),
    counter('sluice_ledger_dead_lettered_total', 'Messages of which a record is a dead letter.', deadLettered),
    counter('sluice_ledger_expired_total', 'Messages that expired by a rule.', expired),
    counter('sluice_ledger_discarded_total', 'Messages that were discarded, by rule.', kinds('rule', discarded)),
    gauge('sluice_ledger_buffered', 'Messages that are buffered.', buffered),
    gauge(
      'sluice_ledger_imbalance',
      'accepted - buffered - delivered - dead-lettered - expired - discarded: anything but 0 is a fault.',
      imbalance,
    ),
  ];
}

function counter(name: string, help: string, value: number | undefined | readonly Sample[]): Reading {
  return { name, help, type: 'counter', samples: typeof value === 'object' ? value : [{ value: value ?? 0 }] };
}

function gauge(name: string, help: string, value: number | readonly Sample[]): Reading {
  return { name, help, type: 'gauge', samples: typeof value === 'number' ? [{ value }] : value };
}

function kinds(label: string, counts: Counts): Sample[] {
  return Object.entries(counts)
    .slice(0, KINDS_MAX)
    .map(([kind, value]) => ({ value, labels: { [label]: kind } }));
}

/** `<scope> <reason>`, as lanes count faults. */
function split(counts: Counts): [scope: string, reason: string, count: number][] {
  return Object.entries(counts)
    .slice(0, KINDS_MAX)
    .map(([kind, count]) => [kind.slice(0, kind.indexOf(' ')), kind.slice(kind.indexOf(' ') + 1), count]);
}

function laneLabels(topic: string, partition: string): { topic: string; partition: string } {
  return { topic, partition };
}

function ageSeconds(at: number | undefined, now: number): number {
  return at === undefined ? 0 : Math.max(0, now - at) / 1e3;
}
