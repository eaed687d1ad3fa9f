/** A minute of silence of Redis or Kafka: connections stay, nothing answers. */
import type { Fault } from '../faults.ts';
import { single, type Scenario } from '../scenario.ts';
import type { StoreName } from '../world.ts';
import { LOAD } from './kill.ts';

const FULL_MS = 60_000;
const RESUME_MAX_MS = 5_000;
/** Of the load, at least so much goes on while Kafka is silent. */
const SHARE_DURING = 0.8;

function hanging(store: StoreName, link: 'redis' | 'kafka'): Scenario {
  return {
    name: `hang ${link}, ${store}`,
    about: `${link === 'redis' ? 'Redis' : 'Kafka'} hangs for 60 s: no false acknowledgement, and acknowledgements again within 5 s of its end`,
    fullSeconds: 90,
    promised: true,
    world: { store, fleet: { ...LOAD, qos: [1, 2] } },
    steps: (_random, scale) => {
      // At least longer than appendTimeout and the lease: below that it would be another fault.
      const forMs = Math.max(12_000, Math.round(FULL_MS * Math.min(1, scale)));
      const fault: Fault = { do: 'hang', link, direction: 'both', forMs };
      return [single(fault, 2_000)];
    },
    check: ({ recorder, complain, complainOfMeasure, measure }, { events }, [step]) => {
      if (step === undefined) return;
      measure('resumedAfterMs', step.resumedAfterMs ?? NaN);
      if (step.resumedAfterMs === undefined || step.resumedAfterMs > RESUME_MAX_MS) {
        complainOfMeasure(`acknowledged again only ${step.resumedAfterMs} ms after ${step.step}`);
      }
      if (link === 'kafka' && events['kafka.paused'] === undefined)
        complain('sluice did not notice: the run has shown nothing');
      const [held] = step.faults;
      if (link !== 'kafka' || held === undefined) return;
      const acknowledged = recorder.acknowledgedBetween(held.fromMs, held.toMs);
      const due = (LOAD.perSecond * (held.toMs - held.fromMs)) / 1000;
      measure('acknowledgedDuring', acknowledged);
      if (acknowledged < due * SHARE_DURING) {
        complainOfMeasure(`only ${acknowledged} of ${Math.round(due)} messages were acknowledged during ${held.fault}`);
      }
    },
  };
}

/** SIGSTOP: what was sent before still takes effect when the process goes on. */
function freezing(store: StoreName): Scenario {
  const short = (who: 'sluice' | 'redis' | 'kafka'): Fault => ({ do: 'freeze', who, forMs: 800 });
  const long = (who: 'sluice' | 'redis' | 'kafka', forMs: number): Fault => ({ do: 'freeze', who, forMs });
  return {
    name: `freeze, ${store}`,
    about: 'SIGSTOP of each process, for shorter and for longer than lease and timeouts',
    fullSeconds: 120,
    world: { store, fleet: { ...LOAD, qos: [1, 2] } },
    steps: (random, scale) => {
      const services = store === 'redis' ? (['sluice', 'redis', 'kafka'] as const) : (['sluice', 'kafka'] as const);
      const faults = services.flatMap((who) => [
        short(who),
        // The lease is 10 s, an append may take 10 s, a request to Kafka 30 s.
        long(who, who === 'kafka' && scale >= 0.5 ? 35_000 : 12_000),
      ]);
      return (scale >= 0.2 ? faults : faults.filter((_, index) => index % 2 === 0)).map((fault) =>
        single(fault, random.int(1_000)),
      );
    },
    check: ({ measure }, _judgement, steps) => {
      for (const { step, resumedAfterMs } of steps) measure(`resumed after ${step}, ms`, resumedAfterMs ?? NaN);
    },
  };
}

export const hangScenarios: readonly Scenario[] = [
  hanging('redis', 'redis'),
  hanging('redis', 'kafka'),
  hanging('level', 'kafka'),
  freezing('level'),
  freezing('redis'),
];
