/** What a Kafka cluster does to a producer: leaders go, replicas lack, topics vanish, grow, close, refuse. */
import { saidTooFew } from '../actions.ts';
import { between, kill, LEASE_MS, times } from '../draw.ts';
import type { Fault } from '../faults.ts';
import { scaled, single, type Scenario, type Stage } from '../scenario.ts';
import { LOAD } from './kill.ts';
import type { Judgement } from '../judgement.ts';
import type { StepRecord } from '../recorder.ts';
import type { StoreName } from '../world.ts';

/** Half the load, and three brokers: this is about what happens, not about how fast. */
const CLUSTER_LOAD = { devices: 20, perSecond: 1_000, window: 20, qos: [1, 2] } as const;

const leaders = (store: StoreName): Scenario => ({
  name: `leaders, three nodes, ${store}`,
  about: 'nodes killed and frozen, leaders moved, min.insync.replicas not met, under load',
  fullSeconds: 120,
  world: { store, kafkaNodes: 3, partitions: 6, fleet: CLUSTER_LOAD },
  steps: (random, scale) => {
    const kinds: (() => Fault)[] = [
      () => ({ do: 'leaders moved' }),
      () => ({ ...kill(random, 'kafka'), node: random.int(3) }) as Fault,
      () => ({ do: 'too few replicas', forMs: between(random, 1_000, 5_000) }),
      // Longer than the session of a broker: its partitions get other leaders, and it wakes up as one that was replaced.
      () => ({ do: 'freeze', who: 'kafka', node: random.int(3), forMs: between(random, 5_000, 8_000) }),
    ];
    return times(scaled(12, scale, 3), (index) => single(kinds[index % kinds.length]!(), random.int(1_000)));
  },
  check: ({ world, complain }) => {
    if (saidTooFew(world) === 0) complain('there were always enough replicas: that fault did not take hold');
  },
});

const TOPIC_WORLD = { access: true, partitions: 4, peacefulTopic: true, fleet: CLUSTER_LOAD } as const;

/** While one topic cannot be written, the others go on. */
function othersGoOn(stage: Stage, steps: readonly StepRecord[]): void {
  for (const { step, faults } of steps) {
    const written = stage.measured(`peaceful during ${step}`);
    const seconds = faults.reduce((most, { fromMs, toMs }) => Math.max(most, (toMs - fromMs) / 1000), 0);
    const due = (CLUSTER_LOAD.perSecond / 2) * seconds;
    if (written !== undefined && seconds > 1 && written < due / 2) {
      stage.complain(`only ${written} of about ${Math.round(due)} records reached the other topic during ${step}`);
    }
  }
}

/** The topic of half the devices is to have failed, and the other half is not to have noticed. */
function topicFailedAlone(stage: Stage, judgement: Judgement, steps: readonly StepRecord[]): void {
  if (judgement.events['topic.fault'] === undefined)
    stage.complain('the topic never failed: the run has shown nothing');
  if (judgement.events['kafka.paused'] !== undefined)
    stage.complain('the fault of one topic was taken for the cluster');
  othersGoOn(stage, steps);
}

const topics = (store: StoreName): Scenario => ({
  name: `topic faults, ${store}`,
  about: 'a topic is deleted and created again, its ACL is taken away and given back; the other topic goes on',
  fullSeconds: 80,
  world: { ...TOPIC_WORLD, store },
  steps: (random, scale) => {
    const kinds: (() => Fault)[] = [
      () => ({ do: 'topic deleted', goneMs: between(random, 2_000, 6_000) }),
      () => ({ do: 'access revoked', forMs: between(random, 2_000, 6_000) }),
    ];
    return times(scaled(8, scale, 2), (index) => single(kinds[index % kinds.length]!(), random.int(800)));
  },
  check: topicFailedAlone,
});

const topicsAndKills = (store: StoreName): Scenario => ({
  name: `topic faults and kills, ${store}`,
  about:
    'sluice is killed while a topic cannot be written: what waits for it comes first, in order, when it works again',
  fullSeconds: 130,
  world: { ...TOPIC_WORLD, store },
  steps: (random, scale) =>
    times(scaled(6, scale), () => ({
      gapMs: random.int(800),
      // Longer than the lease of the one that was killed: before it has ended nobody meets the topic.
      faults: [{ do: 'access revoked', forMs: LEASE_MS + between(random, 3_000, 7_000) }, kill(random, 'sluice')],
    })),
  check: ({ complain }, { events }) => {
    if (events['topic.fault'] === undefined) complain('the topic never failed: the run has shown nothing');
  },
});

const partitions = (store: StoreName): Scenario => ({
  name: `partitions added, ${store}`,
  about: 'the topic grows under load: devices that move to another partition keep their order',
  fullSeconds: 100,
  world: {
    store,
    kafkaNodes: 3,
    partitions: 3,
    // By the clock that the brokers share here the judge sees what came first, also across partitions.
    topicConfig: { 'message.timestamp.type': 'LogAppendTime' },
    fleet: CLUSTER_LOAD,
  },
  // sluice looks for new partitions once a minute, and when a leader is not what it was.
  steps: (_random, scale) => [
    single({ do: 'partitions added', count: 5 }, 1_000),
    single({ do: 'leaders moved' }, 500),
    single({ do: 'partitions added', count: 8 }, 3_000),
    single(scale < 0.5 ? { do: 'leaders moved' } : { do: 'delay', link: 'kafka', byMs: 20, forMs: 65_000 }, 500),
    single({ do: 'delay', link: 'kafka', byMs: 20, forMs: 2_000 }, 500),
  ],
  check: ({ complain, measure }, { verdict }) => {
    measure('moved', verdict.moved);
    if (verdict.moved === 0) complain('no device moved to another partition: the run has shown nothing');
  },
});

const MAX_BYTES = 4_000;

const oversized = (store: StoreName): Scenario => ({
  name: `oversized messages, ${store}`,
  about:
    'messages that the topic does not take go to the dead-letter topic with the reason, whose retention removes them',
  fullSeconds: 30,
  world: {
    store,
    topicConfig: { 'max.message.bytes': MAX_BYTES },
    fleet: { ...LOAD, perSecond: 500, qos: [1, 2], oversized: { every: 25, bytes: 3 * MAX_BYTES } },
  },
  steps: (random, scale) => [
    single(kill(random, 'kafka'), 1_000),
    ...times(scaled(3, scale, 1), () => single({ do: 'dead letters expire' }, between(random, 500, 1_500))),
    single(kill(random, 'sluice'), 1_000),
  ],
  check: async ({ world, complain, measure }, { verdict, ledger }) => {
    const logs = await world.fleet.logs();
    const due = logs.reduce(
      (sum, { acknowledged }) => sum + acknowledged.filter((sequence) => sequence % 25 === 24).length,
      0,
    );
    const found = Object.values(verdict.deadLettered).reduce((sum, count) => sum + count, 0);
    measure('deadLettered', found);
    if (due === 0) complain('no device sent an oversized message: the run has shown nothing');
    if (found < due) complain(`${due} oversized messages were acknowledged, ${found} are dead letters`);
    for (const code of Object.keys(verdict.deadLettered)) {
      if (code !== 'MESSAGE_TOO_LARGE' && code !== 'RECORD_LIST_TOO_LARGE') complain(`a dead letter for ${code}`);
    }
    if ((ledger?.deadLettered ?? 0) < found) complain(`the ledger counts ${ledger?.deadLettered} dead letters`);
  },
});

const STORES: readonly StoreName[] = ['level', 'redis'];

export const kafkaScenarios: readonly Scenario[] = [leaders, topics, topicsAndKills, partitions, oversized].flatMap(
  (of) => STORES.map(of),
);
