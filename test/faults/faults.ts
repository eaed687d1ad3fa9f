/** What can be done to whom, as data: a schedule is drawn before it is played, printed, and replayed from its seed. */
import type { Direction } from '../support/proxy.ts';

export type Service = 'sluice' | 'redis' | 'kafka';
/** The connections of sluice that lead through a proxy of the harness; `devices`: those of the devices to sluice. */
export type Link = 'redis' | 'kafka' | 'devices';

export type Fault =
  /** SIGKILL, and started again after a while. `node`: one of Kafka's, or of several sluices; else all of them. */
  | { readonly do: 'kill'; readonly who: Service; readonly node?: number; readonly downMs: number }
  /** SIGSTOP and SIGCONT: connections stay, nothing answers, and then everything at once. */
  | { readonly do: 'freeze'; readonly who: Service; readonly node?: number; readonly forMs: number }
  /** Nothing passes, in that direction; connections stay. */
  | { readonly do: 'hang'; readonly link: Link; readonly direction: Direction; readonly forMs: number }
  | { readonly do: 'delay'; readonly link: Link; readonly byMs: number; readonly forMs: number }
  /** Resets every connection at once. */
  | { readonly do: 'cut'; readonly link: Link }
  /** Resets a connection in the middle of a frame: after that many more bytes. */
  | { readonly do: 'cut mid-frame'; readonly link: Link; readonly direction: Direction; readonly afterBytes: number }
  | { readonly do: 'refuse'; readonly link: Link; readonly forMs: number }
  /** maxmemory below what it holds: writes are answered with OOM. */
  | { readonly do: 'redis full'; readonly forMs: number }
  /** `replicaof` a server that is not there, or `min-replicas-to-write` without replicas. */
  | { readonly do: 'redis read-only'; readonly by: 'replicaof' | 'min-replicas'; readonly forMs: number }
  /** Killed, and an empty one in its place, or one with an earlier state of its data. */
  | { readonly do: 'redis replaced'; readonly by: 'empty' | 'earlier' }
  /** What is left of a small file system is filled up. */
  | { readonly do: 'disk full'; readonly forMs: number }
  | { readonly do: 'disk error'; readonly code: 'EIO' | 'ENOSPC'; readonly forMs: number }
  /** Killed, and what it had written and not synced is gone. */
  | { readonly do: 'power loss'; readonly who: 'sluice' | 'redis' }
  | { readonly do: 'clock jump'; readonly bySeconds: number; readonly forMs: number }
  /** The leaders of the topic's partitions go to the next replica. */
  | { readonly do: 'leaders moved' }
  /** One node down, and min.insync.replicas set to all of them. */
  | { readonly do: 'too few replicas'; readonly forMs: number }
  /** Records that are in it go with it, so the load pauses until all of them were read; it goes on while the topic is gone. */
  | { readonly do: 'topic deleted'; readonly goneMs: number }
  | { readonly do: 'partitions added'; readonly count: number }
  /** sluice's user may not write the topic. */
  | { readonly do: 'access revoked'; readonly forMs: number }
  /** What the dead-letter topic's retention does: its records so far are removed. */
  | { readonly do: 'dead letters expire' };

/** What happens at once. */
export interface Step {
  /** After the step before has ended and acknowledgements have come again. */
  readonly gapMs: number;
  readonly faults: readonly Fault[];
}

export function describeFault(fault: Fault): string {
  const target = 'who' in fault ? ` ${fault.who}${nodeOf(fault)}` : 'link' in fault ? ` ${linkNames[fault.link]}` : '';
  return `${fault.do}${target}${details(fault)}`;
}

export function describeStep(step: Step): string {
  return step.faults.map(describeFault).join(' + ');
}

/** How long a fault holds by itself, ms. */
export function holdsMs(fault: Fault): number {
  if ('forMs' in fault) return fault.forMs;
  if ('downMs' in fault) return fault.downMs;
  return 'goneMs' in fault ? fault.goneMs : 0;
}

const linkNames: Record<Link, string> = {
  redis: 'sluice-Redis',
  kafka: 'sluice-Kafka',
  devices: 'devices-sluice',
};

function nodeOf(fault: Fault): string {
  return 'node' in fault && fault.node !== undefined ? ` ${fault.node + 1}` : '';
}

function details(fault: Fault): string {
  const held = holdsMs(fault);
  const time = held > 0 ? ` for ${held >= 10_000 ? `${Math.round(held / 1000)} s` : `${held} ms`}` : '';
  switch (fault.do) {
    case 'hang':
      return `${fault.direction === 'both' ? '' : ` (${fault.direction})`}${time}`;
    case 'delay':
      return ` by ${fault.byMs} ms${time}`;
    case 'cut mid-frame':
      return ` (${fault.direction}, after ${fault.afterBytes} B)`;
    case 'redis read-only':
    case 'redis replaced':
      return ` (${fault.by})${time}`;
    case 'disk error':
      return ` (${fault.code})${time}`;
    case 'clock jump':
      return ` by ${fault.bySeconds} s${time}`;
    case 'partitions added':
      return ` (to ${fault.count})`;
    case 'kill':
    case 'freeze':
    case 'cut':
    case 'refuse':
    case 'redis full':
    case 'disk full':
    case 'power loss':
    case 'leaders moved':
    case 'too few replicas':
    case 'topic deleted':
    case 'access revoked':
    case 'dead letters expire':
      return time;
  }
}
