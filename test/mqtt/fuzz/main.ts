/** `npm run fuzz -- [packets] [seed]`: a long run, a million packets if nothing else is said. */
import { randomFrom } from '../../support/random.ts';
import { campaign } from './campaign.ts';

const [packets = '1000000', seed] = process.argv.slice(2);
const random = randomFrom(seed === undefined ? undefined : Number(seed));
console.log(`seed ${random.seed}`);
let shown = 0;
const outcome = await campaign({
  seed: random.seed,
  packets: Number(packets),
  timeMs: Infinity,
  progress: (now) => {
    if (now.packets - shown < 20_000) return;
    shown = now.packets;
    console.log(
      `${now.packets} packets in ${now.cases} connections; slowest round trip ${now.slowestRoundTripMs} ms; ${Math.round(now.rssBytes / 2 ** 20)} MB`,
    );
  },
});
const { failure, ...numbers } = outcome;
console.log(JSON.stringify(numbers));
if (failure !== undefined) {
  console.error(`FAILED (seed ${random.seed}): ${failure}`);
  process.exitCode = 1;
}
