/**
 * Strimzi's MQTT bridge: its topic mapping rules, a JSON list. The first rule that fits counts; what fits none goes to
 * messages_default. https://github.com/strimzi/strimzi-mqtt-bridge
 */
import { Draft, literal, type Imported } from './draft.ts';
import { importFault } from './fault.ts';
import { groupTemplate, nameGroups } from './groups.ts';

const WHAT = "Strimzi's MQTT bridge";
const RULES_MAX = 10_000;

interface Rule {
  readonly mqttTopic: string;
  readonly kafkaTopic: string;
  readonly kafkaKey: string | null | undefined;
}

/** @throws SluiceError */
export function importStrimzi(text: string): Imported {
  const draft = new Draft(WHAT);
  for (const rule of rulesOf(text)) addRoute(draft, rule);
  draft.note(
    'the Kafka topic messages_default takes what no rule fits, as in the bridge; topics that begin with $ are not taken',
  );
  draft.route({ name: 'messages_default', from: '#', to: 'messages_default', key: null }, []);
  return draft.finish();
}

function rulesOf(text: string): readonly Rule[] {
  let rules: unknown;
  try {
    rules = JSON.parse(text);
  } catch (error) {
    throw importFault(WHAT, `its mapping rules are no JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(rules) || rules.length > RULES_MAX) throw importFault(WHAT, 'its mapping rules are no JSON list');
  return rules.map((rule: unknown, index) => {
    const { mqttTopic, kafkaTopic, kafkaKey } = (rule ?? {}) as Record<string, unknown>;
    const sound =
      typeof mqttTopic === 'string' &&
      typeof kafkaTopic === 'string' &&
      (kafkaKey === undefined || kafkaKey === null || typeof kafkaKey === 'string');
    if (!sound) throw importFault(WHAT, `rule ${index} has no mqttTopic and kafkaTopic`);
    return { mqttTopic, kafkaTopic, kafkaKey };
  });
}

function addRoute(draft: Draft, { mqttTopic, kafkaTopic, kafkaKey: given }: Rule): void {
  const kafkaKey = given ?? null;
  if (isPattern(mqttTopic) && !/\$\d/.test(kafkaTopic + (kafkaKey ?? ''))) {
    draft.route({ from: mqttTopic, to: kafkaTopic, key: kafkaKey, stop: true }, []);
    return;
  }
  const { regex, names } = nameGroups(mqttTopic);
  const to = groupTemplate(kafkaTopic, names);
  const key = kafkaKey === null ? { template: null } : groupTemplate(kafkaKey, names);
  const notes = [
    ...(typeof to === 'string' ? [`kafkaTopic: ${to}`] : []),
    ...(typeof key === 'string' ? [`kafkaKey: ${key}`] : []),
    ...(/\(\?<?[=!]|\\[1-9]/.test(regex) ? ['look-around and back references are not in RE2'] : []),
  ];
  draft.route(
    {
      regex,
      to: typeof to === 'string' ? literal(kafkaTopic) : to.template,
      key: typeof key === 'string' ? null : key.template,
      stop: true,
    },
    notes,
    notes.length > 0,
  );
}

/** Levels that are names in braces, wildcards or plain texts: the older form. Else it is an expression with numbered groups. */
function isPattern(mqttTopic: string): boolean {
  return mqttTopic.split('/').every((level) => /^(?:\{[A-Za-z_]\w*\}|[+#]|[^{}()[\]\\*?^$|+#]*)$/.test(level));
}
