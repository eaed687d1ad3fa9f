const REASON_MAX_CHARACTERS = 500;

export type ValueFaultCode = 'PAYLOAD_INVALID' | 'SCHEMA_INVALID' | 'CONDITION_FAILED';

/** A payload that a route cannot use. Not thrown: it is an outcome like others. */
export class ValueFault {
  readonly code: ValueFaultCode;
  readonly reason: string;

  constructor(code: ValueFaultCode, reason: string) {
    this.code = code;
    this.reason = reason.slice(0, REASON_MAX_CHARACTERS);
  }
}

export function valueFault(code: ValueFaultCode, reason: string): ValueFault {
  return new ValueFault(code, reason);
}

/** By its class: a payload may hold anything that looks like one. */
export function isFault(value: unknown): value is ValueFault {
  return value instanceof ValueFault;
}
