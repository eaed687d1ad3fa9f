/** The value as a JSON object that tells of the message around the payload. */
import { isUtf8 } from 'node:buffer';
import type { Message } from '../message.ts';
import type { EnvelopePayload } from './definition.ts';
import { valueFault, type ValueFault } from './fault.ts';

/** A payload on its way out. */
export interface Body {
  readonly bytes: Buffer;
  /** It is known to be JSON; undefined: not known. */
  readonly isJson: boolean;
}

export function envelope(message: Message, body: Body, form: EnvelopePayload): string | ValueFault {
  const encoding = form === 'auto' ? bestEncoding(body) : form;
  if (encoding === 'string' && !isUtf8(body.bytes)) {
    return valueFault('PAYLOAD_INVALID', 'the payload is not UTF-8, and the envelope has it as a string');
  }
  const { contentType, userProperties } = message.properties ?? {};
  const head = JSON.stringify({
    topic: message.topic,
    clientId: message.clientId,
    ...(message.user === '' ? {} : { user: message.user }),
    time: new Date(message.receivedAt).toISOString(),
    qos: message.qos,
    retain: message.retain,
    ...(contentType === undefined ? {} : { contentType }),
    ...(userProperties === undefined ? {} : { userProperties }),
    encoding,
  });
  // As the device wrote it: a number keeps its digits.
  return `${head.slice(0, -1)},"payload":${encoded(body, encoding)}}`;
}

function bestEncoding({ bytes, isJson }: Body): 'json' | 'string' | 'base64' {
  if (isJson) return 'json';
  return isUtf8(bytes) ? 'string' : 'base64';
}

function encoded({ bytes }: Body, encoding: 'json' | 'string' | 'base64'): string {
  switch (encoding) {
    case 'json':
      return bytes.toString();
    case 'string':
      return JSON.stringify(bytes.toString());
    case 'base64':
      return `"${bytes.toString('base64')}"`;
  }
}
