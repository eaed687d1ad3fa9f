/** What the machine under sluice can do: its disk, its power, its clock. */
import { between, times } from '../draw.ts';
import type { Judgement } from '../judgement.ts';
import { scaled, single, type Scenario, type Stage } from '../scenario.ts';
import type { StoreName } from '../world.ts';
import { LOAD } from './kill.ts';

/** Without a fault of the store the run has shown nothing. */
export function storeFailed({ complain }: Stage, { events }: Judgement): void {
  if (events['store.fault'] === undefined) complain('the store never failed: the run has shown nothing');
}

const diskFull: Scenario = {
  name: 'disk full, level',
  about: 'no room left on the device: no acknowledgement, and again when there is room',
  needs: ['root'],
  fullSeconds: 60,
  world: { store: 'level', diskMb: 96, fleet: { ...LOAD, qos: [1, 2] } },
  steps: (random, scale) =>
    times(scaled(6, scale, 2), (index) =>
      // Some for longer than an append may take.
      single({ do: 'disk full', forMs: index % 3 === 2 ? 12_000 : between(random, 1_000, 4_000) }, random.int(800)),
    ),
  check: storeFailed,
};

const diskErrors: Scenario = {
  name: 'disk errors, level',
  about: 'writes and syncs fail with EIO or ENOSPC: no acknowledgement, and again when they work',
  needs: ['cc'],
  fullSeconds: 60,
  world: { store: 'level', shim: 'sluice', fleet: { ...LOAD, qos: [1, 2] } },
  steps: (random, scale) =>
    times(scaled(8, scale, 2), (index) =>
      single(
        {
          do: 'disk error',
          code: index % 2 === 0 ? 'EIO' : 'ENOSPC',
          forMs: index % 4 === 3 ? 12_000 : between(random, 300, 3_000),
        },
        random.int(800),
      ),
    ),
  check: storeFailed,
};

const powerLoss: Scenario = {
  name: 'power loss, level',
  about: 'sluice is killed and what LevelDB had written and not synced is gone: every acknowledged message is there',
  needs: ['cc'],
  fullSeconds: 60,
  world: { store: 'level', shim: 'sluice', syncDelayMs: 5, fleet: { ...LOAD, qos: [1, 2] } },
  steps: (random, scale) =>
    times(scaled(20, scale, 3), () => single({ do: 'power loss', who: 'sluice' }, random.int(700))),
};

function clock(store: StoreName): Scenario {
  const HOUR_S = 3600;
  return {
    name: `clock, ${store}`,
    about: 'the wall clock of sluice jumps an hour ahead and an hour back',
    needs: ['cc'],
    fullSeconds: 40,
    world: { store, shim: 'sluice', fleet: { ...LOAD, qos: [1, 2] } },
    steps: (random, scale) =>
      times(scaled(4, scale, 2), (index) =>
        single(
          { do: 'clock jump', bySeconds: index % 2 === 0 ? HOUR_S : -HOUR_S, forMs: between(random, 3_000, 5_000) },
          random.int(800),
        ),
      ),
    check: ({ complain, complainOfMeasure, measure }, { fleet, verdict }, steps) => {
      const spread = verdict.timestamps.last - verdict.timestamps.first;
      if (spread < HOUR_S * 1000) complain('no record bears a time of another hour: the fault did not take hold');
      measure('reconnects', fleet.reconnects);
      // Nothing in sluice may hang on the wall clock: nobody is disconnected, no acknowledgement waits.
      if (fleet.reconnects > 0) complain(`${fleet.reconnects} connections were lost to the clock`);
      for (const { step, resumedAfterMs } of steps) {
        if (resumedAfterMs === undefined || resumedAfterMs > 2_000)
          complainOfMeasure(`acknowledgements waited after ${step}`);
      }
    },
  };
}

export const machineScenarios: readonly Scenario[] = [diskFull, diskErrors, powerLoss, clock('level'), clock('redis')];
