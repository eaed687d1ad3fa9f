/**
 * The value as a CloudEvent 1.0, by the Kafka protocol binding: attributes in `ce_` headers and the payload as it is (binary
 * content mode, 3.2), or everything as one JSON object (structured content mode, 3.3).
 */
import type { Message } from '../message.ts';
import type { Template } from '../routes/template.ts';
import type { Body } from './envelope.ts';

export interface CloudEventForm {
  readonly mode: 'binary' | 'structured';
  readonly source: Template;
  readonly type: Template;
  readonly subject: Template;
}

export interface CloudEvent {
  readonly value: Buffer | string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export function cloudEvent(
  form: CloudEventForm,
  message: Message,
  levels: readonly string[],
  payload: unknown,
  body: Body,
  id: string,
  timeMs: number,
): CloudEvent {
  const text = (template: Template): string => template.render(message, levels, payload) ?? '';
  const attributes = {
    specversion: '1.0',
    id,
    // A URI reference that is not empty; client ids and topics may hold anything.
    source: encodeURI(text(form.source)) || '/',
    type: text(form.type) || 'mqtt.publish',
    subject: text(form.subject) || message.topic,
    time: new Date(timeMs).toISOString(),
  };
  const contentType =
    message.properties?.contentType ?? (body.isJson ? 'application/json' : 'application/octet-stream');
  if (form.mode === 'binary') {
    const headers = Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value] as const);
    return { value: body.bytes, headers: [...headers, ['content-type', contentType]] };
  }
  const head = JSON.stringify({ ...attributes, datacontenttype: contentType });
  const data = body.isJson ? `"data":${body.bytes.toString()}` : `"data_base64":"${body.bytes.toString('base64')}"`;
  return {
    value: `${head.slice(0, -1)},${data}}`,
    headers: [['content-type', 'application/cloudevents+json; charset=UTF-8']],
  };
}
