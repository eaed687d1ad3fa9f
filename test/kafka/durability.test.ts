import { beforeAll, describe, expect, it } from 'vitest';
import { inspectTopics } from '../../src/kafka/durability.ts';
import { freePort, sharedKafka, uniqueTopic, type SharedKafka } from '../support/services.ts';

let kafka: SharedKafka;
beforeAll(async () => {
  kafka = await sharedKafka();
});

describe('inspectTopics', () => {
  it('reports each topic in the order given, and says what weakens the guarantee', async () => {
    const [plain, unclean, missing] = [uniqueTopic('plain'), uniqueTopic('unclean'), uniqueTopic('missing')];
    await kafka.createTopic(plain, 3);
    await kafka.createTopic(unclean, 1, { config: { 'unclean.leader.election.enable': true } });
    const reports = await inspectTopics({ brokers: kafka.brokers }, [unclean, missing, plain, 'not a name']);
    expect(reports.map(({ topic, state }) => [topic, state])).toEqual([
      [unclean, 'present'],
      [missing, 'missing'],
      [plain, 'present'],
      ['not a name', 'failed'],
    ]);
    const common = { replicationFactor: 1, minInsyncReplicas: 1 };
    expect(reports[2]).toMatchObject({ ...common, partitions: 3, uncleanLeaderElection: false });
    expect(reports[2]?.weak).toEqual([expect.stringContaining(`topic ${plain} has replication factor 1`)]);
    expect(reports[0]).toMatchObject({ ...common, partitions: 1, uncleanLeaderElection: true });
    expect(reports[0]?.weak).toEqual([expect.any(String), expect.stringContaining('unclean.leader.election.enable')]);
    expect(reports[1]?.weak).toEqual([expect.stringContaining('its first record creates it')]);
    expect(reports[3]?.weak).toEqual([expect.stringContaining('INVALID_TOPIC_EXCEPTION')]);
  });

  it('says of a missing topic that it has to be created where sluice may not', async () => {
    const topic = uniqueTopic('missing');
    const [report] = await inspectTopics({ brokers: kafka.brokers, createTopics: { enabled: false } }, [topic]);
    expect(report?.weak).toEqual([expect.stringContaining('may not create it')]);
  });

  it('fails where no broker answers', async () => {
    const brokers = [`127.0.0.1:${await freePort()}`];
    await expect(inspectTopics({ brokers }, ['t'])).rejects.toMatchObject({
      scope: 'cluster',
      reason: 'CONNECTION_FAILED',
    });
  });
});
