/**
 * The body of POST /publish: JSON lines, each
 * `{ "topic": …, "payload": a text, or anything else as JSON, or "payloadBase64": …, "clientId"?, "qos"?, "retain"?, "key"?, "contentType"?,
 * "userProperties"?: { name: text } }`. All of it is read before any of it is taken.
 */
import { errorText } from '../errors.ts';
import type { MessageProperties } from '../message.ts';
import type { PublishRequest } from './port.ts';

export const BATCH_MAX_MESSAGES = 10_000;

export interface BatchFault {
  readonly line: number;
  readonly message: string;
}

interface Defaults {
  readonly clientId: string;
  /** Of the request; line n of it is `<key> n`. */
  readonly key: string | undefined;
}

const known = new Set([
  'topic',
  'payload',
  'payloadBase64',
  'clientId',
  'qos',
  'retain',
  'key',
  'contentType',
  'userProperties',
]);

export function parseBatch(body: Buffer, payloadMaxBytes: number, defaults: Defaults): PublishRequest[] | BatchFault {
  const messages: PublishRequest[] = [];
  let line = 0;
  for (const text of body.toString('utf8').split('\n')) {
    line++;
    if (text.trim() === '') continue;
    if (messages.length >= BATCH_MAX_MESSAGES) return { line, message: `more than ${BATCH_MAX_MESSAGES} messages` };
    try {
      messages.push(parseLine(JSON.parse(text) as unknown, line, payloadMaxBytes, defaults));
    } catch (error) {
      return { line, message: errorText(error) };
    }
  }
  return messages.length > 0 ? messages : { line: 1, message: 'no message' };
}

function parseLine(value: unknown, line: number, payloadMaxBytes: number, defaults: Defaults): PublishRequest {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a JSON object');
  const fields = value as Record<string, unknown>;
  for (const name of Object.keys(fields))
    if (!known.has(name)) throw new Error(`unknown field ${JSON.stringify(name)}`);
  const { qos = 1, retain = false } = fields;
  if (qos !== 0 && qos !== 1) throw new Error('qos is 0 or 1');
  if (typeof retain !== 'boolean') throw new Error('retain is true or false');
  const topic = textOf(fields, 'topic', 65_535);
  if (topic === undefined) throw new Error('topic is missing');
  const payload = payloadOf(fields);
  if (payload.length > payloadMaxBytes) throw new Error(`the payload is larger than ${payloadMaxBytes} bytes`);
  return {
    topic,
    payload,
    qos,
    retain,
    clientId: textOf(fields, 'clientId', 256) ?? defaults.clientId,
    key: textOf(fields, 'key', 256) ?? (defaults.key === undefined ? undefined : `${defaults.key} ${line}`),
    properties: propertiesOf(fields),
  };
}

function payloadOf({ payload, payloadBase64 }: Record<string, unknown>): Buffer {
  if ((payload === undefined) === (payloadBase64 === undefined)) throw new Error('either payload or payloadBase64');
  if (payloadBase64 === undefined) return Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
  if (
    typeof payloadBase64 !== 'string' ||
    !/^[A-Za-z0-9+/]*={0,2}$/.test(payloadBase64) ||
    payloadBase64.length % 4 !== 0
  )
    throw new Error('payloadBase64 is not base64');
  return Buffer.from(payloadBase64, 'base64');
}

function propertiesOf(fields: Record<string, unknown>): MessageProperties | undefined {
  const contentType = textOf(fields, 'contentType', 1_024);
  const { userProperties } = fields;
  if (contentType === undefined && userProperties === undefined) return undefined;
  const properties: MessageProperties = {};
  if (contentType !== undefined) properties.contentType = contentType;
  if (userProperties === undefined) return properties;
  if (typeof userProperties !== 'object' || userProperties === null) throw new Error('userProperties is an object');
  properties.userProperties = Object.entries(userProperties).map(([name, value]): [string, string] => {
    if (typeof value !== 'string') throw new Error('the values of userProperties are texts');
    return [name, value];
  });
  return properties;
}

/** Without control characters, as MQTT has it. */
function textOf(fields: Record<string, unknown>, name: string, maxLength: number): string | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  // eslint-disable-next-line no-control-regex -- exactly these are meant
  if (typeof value !== 'string' || value === '' || value.length > maxLength || /[\u0000-\u001f]/.test(value))
    throw new Error(`${name} is a text of 1 to ${maxLength} characters`);
  return value;
}
