/** Confluent's MQTT Proxy: kafka-mqtt.properties. https://docs.confluent.io/platform/current/kafka-mqtt/configuration_options.html */
import { Draft, literal, type Imported } from './draft.ts';
import { importFault } from './fault.ts';
import { parseProperties } from './properties.ts';

const WHAT = "Confluent's MQTT Proxy";
const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
/** Settings that say what sluice does in any case, or names of the proxy itself. */
const unneeded = /^(?:network\.|kafka\.mqtt\.|producer\.(?:acks|retries|enable\.idempotence|linger\.ms|batch\.size)$)/;

/** @throws SluiceError */
export function importConfluentProxy(text: string): Imported {
  let properties: ReadonlyMap<string, string>;
  try {
    properties = parseProperties(text);
  } catch (error) {
    throw importFault(WHAT, String((error as Error).message));
  }
  const list = properties.get('topic.regex.list');
  if (list === undefined) throw importFault(WHAT, 'there is no topic.regex.list in it');
  const draft = new Draft(WHAT);
  const kafka: Record<string, unknown> = {};
  for (const [key, value] of properties) {
    const isCompression = key === 'producer.compression.type' && compressions.includes(value);
    if (key === 'bootstrap.servers')
      kafka['brokers'] = value.split(',').map((each) => each.trim().replace(/^\w+:\/\//, ''));
    else if (isCompression) kafka['compression'] = value;
    else if (key !== 'topic.regex.list' && !unneeded.test(key)) draft.note(settingNote(key, value));
  }
  if (Object.keys(kafka).length > 0) draft.section('kafka', kafka);
  draft.note('the proxy takes the first expression that fits: each route says stop');
  for (const pair of list.split(',')) addRoute(draft, pair.trim());
  return draft.finish();
}

/** `<Kafka topic>:<expression for the whole MQTT topic>` */
function addRoute(draft: Draft, pair: string): void {
  const at = pair.indexOf(':');
  if (at < 1) {
    if (pair !== '')
      draft.note(`topic.regex.list: '${pair}' is no topic:expression; an expression with a comma is cut there`);
    return;
  }
  const regex = pair.slice(at + 1);
  const route = { regex, to: literal(pair.slice(0, at)), key: '{topic}', stop: true };
  const look = /\(\?<?[=!]|\\[1-9]/.test(regex);
  const notes = look ? ['look-around and back references are not in RE2: write the expression without'] : [];
  draft.route(route, notes, look);
}

/** Without the value where it may be a secret. */
function settingNote(key: string, value: string): string {
  const shown = /password|secret|jaas|key/i.test(key) ? '…' : value;
  if (key === 'listeners')
    return `listeners=${shown}: see listeners.mqtt; other machines need auth, or auth.allowAnonymous`;
  if (/^(?:producer\.)?(?:ssl|sasl|security)\./.test(key)) return `${key}=${shown}: see kafka.tls and kafka.sasl`;
  if (key.startsWith('listeners.') || key.startsWith('authentication.'))
    return `${key}=${shown}: see listeners.mqtts and auth`;
  return `${key}=${shown}`;
}
