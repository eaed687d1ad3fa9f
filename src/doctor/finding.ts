/** What the doctor says of one thing that it has looked at. */

export type Check = 'machine' | 'ports' | 'certificates' | 'buffer' | 'kafka' | 'clock';

export interface Finding {
  readonly check: Check;
  /** fault: sluice does not start, or does not do its work. warning: it works, and is weaker or will not work for long. */
  readonly state: 'ok' | 'warning' | 'fault';
  readonly what: string;
  /** How to mend it; of everything that is not ok. */
  readonly mend?: string;
}

export function ok(check: Check, what: string): Finding {
  return { check, state: 'ok', what };
}

export function warning(check: Check, what: string, mend: string): Finding {
  return { check, state: 'warning', what, mend };
}

export function fault(check: Check, what: string, mend: string): Finding {
  return { check, state: 'fault', what, mend };
}
