/** What the dashboard asks for every half second: the status with its lists cut short, durations, and words. */
import type { Durations, LaneStatus, SluiceStatus } from '../status.ts';
import { adviceOf, wordsOf, type Advice, type Words } from './advice.ts';
import type { ApiPort } from './port.ts';
import type { Caller } from './tokens.ts';

export interface Overview {
  /** When it was made, milliseconds since the epoch. */
  readonly at: number;
  readonly caller: Caller;
  /** `kafka.lanes`: those that wait longest. */
  readonly status: SluiceStatus;
  readonly lanes: number;
  readonly durations: Durations;
  readonly words: Words;
  readonly advice: readonly Advice[];
}

const LANES_MAX = 50;

export async function overviewOf(port: ApiPort, caller: Caller, now = Date.now()): Promise<Overview> {
  const status = await port.status();
  const { lanes } = status.kafka;
  return {
    at: now,
    caller,
    status: { ...status, kafka: { ...status.kafka, lanes: [...lanes].sort(worstFirst).slice(0, LANES_MAX) } },
    lanes: lanes.length,
    durations: await port.durations(),
    words: wordsOf(status, now),
    advice: adviceOf(status, port.recentDeadLetters(), now),
  };
}

function worstFirst(a: LaneStatus, b: LaneStatus): number {
  return (b.faultMs ?? -1) - (a.faultMs ?? -1) || b.queued - a.queued;
}
