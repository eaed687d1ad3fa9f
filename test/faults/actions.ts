/** Each fault as two halves: it begins to hold when the first has ended, and no more when the second begins. */
import { randomBytes } from 'node:crypto';
import { cp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ITopicMetadata, PartitionMetadata } from 'kafkajs';
import { consume } from '../support/kcat.ts';
import type { Random } from '../support/random.ts';
import type { ServiceProcess } from '../support/services.ts';
import { eventually } from '../support/eventually.ts';
import type { Fault } from './faults.ts';
import type { World } from './world.ts';

export interface Action {
  begin(): Promise<void>;
  end(): Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();
const AOF = 'appendonlydir';
const DRAIN_TIMEOUT_MS = 60_000;
/** Of messages of 1 KB, more than the window and the hot tail hold in the scenarios that replace the store. */
const MORE_THAN_MEMORY = 6_000;

export function actionFor(world: World, fault: Fault, random: Random): Action {
  switch (fault.do) {
    case 'kill':
      return kill(world, fault);
    case 'freeze':
      return freeze(world, fault);
    case 'hang':
      return onProxies(world, fault, (proxy) => proxy.hang(fault.direction));
    case 'delay':
      return onProxies(world, fault, (proxy) => proxy.delay(fault.byMs));
    case 'cut':
      return { begin: async () => world.proxies(fault.link).forEach((proxy) => proxy.cut()), end: nothing };
    case 'cut mid-frame':
      return {
        begin: async () => random.pick(world.proxies(fault.link)).cutAfter(fault.afterBytes, fault.direction),
        end: nothing,
      };
    case 'refuse':
      return {
        begin: async () => void (await Promise.all(world.proxies(fault.link).map((proxy) => proxy.refuse()))),
        end: async () => void (await Promise.all(world.proxies(fault.link).map((proxy) => proxy.resume()))),
      };
    case 'redis full':
      return {
        begin: async () => void (await world.redisCommand('config', 'set', 'maxmemory', '1')),
        end: async () => void (await world.redisCommand('config', 'set', 'maxmemory', '0')),
      };
    case 'redis read-only':
      return fault.by === 'replicaof'
        ? {
            begin: async () => void (await world.redisCommand('replicaof', '127.0.0.1', '1')),
            end: async () => void (await world.redisCommand('replicaof', 'no', 'one')),
          }
        : {
            begin: async () => void (await world.redisCommand('config', 'set', 'min-replicas-to-write', '1')),
            end: async () => void (await world.redisCommand('config', 'set', 'min-replicas-to-write', '0')),
          };
    case 'redis replaced':
      return { begin: () => replaceRedis(world, fault.by), end: nothing };
    case 'disk full':
      return {
        begin: () => fillDisk(world),
        end: () => rm(join(world.diskDirectory!, 'ballast')),
      };
    case 'disk error':
      return { begin: () => world.shim!.diskError(fault.code), end: () => world.shim!.diskError(undefined) };
    case 'power loss':
      return { begin: () => losePower(world, fault.who, random), end: nothing };
    case 'clock jump':
      return { begin: () => world.shim!.clock(fault.bySeconds), end: () => world.shim!.clock(0) };
    case 'leaders moved':
      return { begin: () => moveLeaders(world), end: nothing };
    case 'too few replicas':
      return {
        begin: async () => {
          const nodes = world.kafka.nodes.length;
          const inSync = async (): Promise<number[]> =>
            (await topicMetadata(world)).partitions.map(({ isr }) => isr.length);
          await eventually(
            async () => (await inSync()).every((count) => count === nodes),
            60_000,
            'a node is not in sync again after an earlier fault',
          );
          await world.kafka.nodes.at(-1)!.kill();
          // The others notice when its session has ended.
          await eventually(
            async () => (await inSync()).every((count) => count < nodes),
            30_000,
            'the dead node is still counted as in sync',
          );
          // One node less is no fault by itself: what comes now is.
          await eventually(() => world.delivers(), 60_000, 'sluice does not deliver with one node less');
          const before = saidTooFew(world);
          await world.setTopicConfig({ 'min.insync.replicas': nodes });
          // The configuration reaches the brokers when they have the time: the fault lasts from where a producer meets it.
          await eventually(() => saidTooFew(world) > before, 60_000, 'nobody has met the lack of replicas');
        },
        end: async () => {
          await world.kafka.nodes.at(-1)!.start();
          await world.setTopicConfig({});
        },
      };
    case 'topic deleted':
      return { begin: () => deleteTopic(world), end: () => createTopicAgain(world) };
    case 'partitions added':
      return { begin: () => addPartitions(world, fault.count), end: nothing };
    case 'access revoked':
      return { begin: () => world.mayWrite(world.topic, false), end: () => world.mayWrite(world.topic, true) };
    case 'dead letters expire':
      return { begin: () => expireDeadLetters(world), end: nothing };
  }
}

function kill(world: World, fault: Extract<Fault, { do: 'kill' }>): Action {
  switch (fault.who) {
    case 'sluice': {
      const sluices = world.sluices.filter((_, index) => fault.node === undefined || fault.node === index);
      return {
        begin: async () => void (await Promise.all(sluices.map((sluice) => sluice.kill()))),
        end: async () => void (await Promise.all(sluices.map((sluice) => sluice.start()))),
      };
    }
    case 'redis':
      return { begin: () => world.redis!.kill(), end: () => world.startRedisProcess() };
    case 'kafka': {
      const nodes = world.kafka.nodes.filter((_, index) => fault.node === undefined || fault.node === index);
      return {
        begin: async () => void (await Promise.all(nodes.map((node) => node.kill()))),
        end: async () => void (await Promise.all(nodes.map((node) => node.start()))),
      };
    }
  }
}

function freeze(world: World, fault: Extract<Fault, { do: 'freeze' }>): Action {
  const chosen = <T>(all: readonly T[]): T[] =>
    all.filter((_, index) => fault.node === undefined || fault.node === index);
  const both = <T>(all: readonly T[], stop: (one: T) => void, go: (one: T) => void): Action => ({
    begin: async () => chosen(all).forEach(stop),
    end: async () => chosen(all).forEach(go),
  });
  switch (fault.who) {
    case 'sluice':
      return both(
        world.sluices,
        (sluice) => sluice.freeze(),
        (sluice) => sluice.thaw(),
      );
    case 'redis':
    case 'kafka':
      return both(
        fault.who === 'redis' ? [world.redis! as ServiceProcess] : world.kafka.nodes,
        (service) => service.pause(),
        (service) => service.resume(),
      );
  }
}

type OnLink = Extract<Fault, { do: 'hang' | 'delay' }>;

function onProxies(
  world: World,
  fault: OnLink,
  disturb: (proxy: ReturnType<World['proxies']>[number]) => void,
): Action {
  const proxies = world.proxies(fault.link);
  return {
    begin: async () => proxies.forEach(disturb),
    end: async () => void (await Promise.all(proxies.map((proxy) => proxy.resume()))),
  };
}

/**
 * Kafka is held first, so that Redis has messages that nobody else has. What was acknowledged until Redis died may be lost:
 * the judge is told.
 */
async function replaceRedis(world: World, by: 'empty' | 'earlier'): Promise<void> {
  const redis = world.redis!;
  const data = join(redis.dir, AOF);
  const copy = join(redis.dir, `earlier-${randomBytes(3).toString('hex')}`);
  world.kafka.proxies.forEach((proxy) => proxy.hang());
  const before = (await world.counts()).acknowledged;
  await world.fleet.until(({ acknowledged }) => acknowledged > before + MORE_THAN_MEMORY);
  if (by === 'earlier') {
    redis.pause();
    await cp(data, copy, { recursive: true });
    redis.resume();
    const now = (await world.counts()).acknowledged;
    await world.fleet.until(({ acknowledged }) => acknowledged > now + MORE_THAN_MEMORY);
  }
  await redis.kill();
  // Acknowledgements that had left Redis reach the devices through sluice, which is not disturbed.
  await quiet(world);
  world.mayBeLost = await world.fleet.logs();
  await rm(data, { recursive: true });
  if (by === 'earlier') await cp(copy, data, { recursive: true });
  await rm(copy, { recursive: true, force: true });
  await world.startRedisProcess();
  await Promise.all(world.kafka.proxies.map((proxy) => proxy.resume()));
}

/** Until no acknowledgement has come for a second. */
async function quiet(world: World): Promise<void> {
  let last = -1;
  for (;;) {
    const { acknowledged } = await world.counts();
    if (acknowledged === last) return;
    last = acknowledged;
    await sleep(1_000);
  }
}

async function fillDisk(world: World): Promise<void> {
  const ballast = await open(join(world.diskDirectory!, 'ballast'), 'w');
  const block = Buffer.alloc(64 * 1024);
  try {
    for (;;) await ballast.write(block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    await ballast.close();
  }
}

async function losePower(world: World, who: 'sluice' | 'redis', random: Random): Promise<void> {
  if (who === 'redis') {
    await world.redis!.kill();
    await world.shim!.losePower(random);
    await world.startRedisProcess();
  } else {
    const [sluice] = world.sluices;
    await sluice!.kill();
    await world.shim!.losePower(random);
    await sluice!.start();
  }
}

async function topicMetadata(world: World): Promise<ITopicMetadata> {
  const { topics } = await world.kafka.admin((admin) => admin.fetchTopicMetadata({ topics: [world.topic] }));
  const [topic] = topics;
  if (topic === undefined) throw new Error(`${world.topic} has no metadata`);
  return topic;
}

/** Out of the replicas goes the leader, so that another one must lead, and back in as the last. */
async function moveLeaders(world: World): Promise<void> {
  const ids = world.kafka.nodes.map(({ id }) => id);
  const { partitions } = await topicMetadata(world);
  const assign = (replicasOf: (leader: number) => number[]): Promise<void> =>
    world.kafka.admin(async (admin) => {
      const partitionAssignment = partitions.map(({ partitionId, leader }) => ({
        partition: partitionId,
        replicas: replicasOf(leader),
      }));
      await admin.alterPartitionReassignments({ topics: [{ topic: world.topic, partitionAssignment }] });
    });
  const became = (
    check: (now: PartitionMetadata, before: PartitionMetadata) => boolean,
    complaint: string,
  ): Promise<void> =>
    eventually(
      async () =>
        (await topicMetadata(world)).partitions.every((now) =>
          check(
            now,
            partitions.find(({ partitionId }) => partitionId === now.partitionId)!,
          ),
        ),
      30_000,
      complaint,
    );
  await assign((leader) => ids.filter((id) => id !== leader));
  await became((now, before) => now.leader >= 0 && now.leader !== before.leader, 'the leaders did not move');
  await assign((leader) => [...ids.filter((id) => id !== leader), leader]);
  await became(({ isr }) => isr.length === ids.length, 'the replicas did not catch up');
}

async function deleteTopic(world: World): Promise<void> {
  const { perSecond } = world.options.fleet;
  await world.fleet.rate(0);
  await eventually(async () => (await world.status())?.ledger.buffered === 0, DRAIN_TIMEOUT_MS, 'it did not drain');
  await quiet(world);
  await eventually(async () => (await world.status())?.ledger.buffered === 0, DRAIN_TIMEOUT_MS, 'it did not drain');
  await world.keepRecords();
  await world.kafka.deleteTopic(world.topic);
  await world.fleet.rate(perSecond);
}

async function createTopicAgain(world: World): Promise<void> {
  // Kafka may still be at deleting it.
  await eventually(
    async () =>
      world.createTopic().then(
        () => true,
        () => false,
      ),
    30_000,
    'the topic cannot be created again',
  );
}

async function addPartitions(world: World, count: number): Promise<void> {
  world.partitions = count;
  await world.kafka.admin((admin) => admin.createPartitions({ topicPartitions: [{ topic: world.topic, count }] }));
}

async function expireDeadLetters(world: World): Promise<void> {
  const records = await consume(world.kafka.directBrokers, world.deadLetterTopic);
  world.kept.deadLetters.push(...records);
  const last = records.at(-1);
  if (last === undefined) return;
  await world.kafka.admin(async (admin) => {
    // kafkajs asks the leader, and must have learned of it.
    await admin.fetchTopicOffsets(world.deadLetterTopic);
    await admin.deleteTopicRecords({
      topic: world.deadLetterTopic,
      partitions: [{ partition: last.partition, offset: String(last.offset + 1) }],
    });
  });
}

/**
 * How often sluice said that replicas lack. A request that the leader had appended when it began is not refused: it waits for the
 * replicas until its time is over, and on its partition nothing else is sent meanwhile.
 */
export function saidTooFew(world: World): number {
  const reasons: unknown[] = ['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'REQUEST_TIMED_OUT'];
  return world.sluices.flatMap((sluice) => sluice.log()).filter(({ reason }) => reasons.includes(reason)).length;
}
