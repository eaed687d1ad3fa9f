/** The campaign: every scenario there is, in the order in which they run. */
import { awayScenarios } from './scenarios/away.ts';
import { hangScenarios } from './scenarios/hang.ts';
import { killScenarios } from './scenarios/kill.ts';
import { kafkaScenarios } from './scenarios/kafka.ts';
import { machineScenarios } from './scenarios/machine.ts';
import { mixScenario, networkScenarios } from './scenarios/network.ts';
import { redisScenarios } from './scenarios/redis.ts';
import type { Scenario } from './scenario.ts';

export { mixScenario } from './scenarios/network.ts';

export const scenarios: readonly Scenario[] = [
  ...killScenarios,
  ...hangScenarios,
  ...networkScenarios,
  ...redisScenarios,
  ...machineScenarios,
  ...kafkaScenarios,
  ...awayScenarios,
  mixScenario('level', 1),
  mixScenario('redis', 1),
];
