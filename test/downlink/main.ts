/** `npm run downlink`: see docs/downlink.md. */
import { parseArgs } from 'node:util';
import { stores, type StoreName } from '../main/stores.ts';
import { runCampaign } from './campaign.ts';

const USAGE = `npm run downlink -- [options]

  --store level|redis  one of them (default: both, one after the other)
  --devices N          a third of them away (default 1000)
  --commands N         (default 50000)
  --seconds S          over which they are sent (default 90)
  --kills N            of sluice, and half as many of Kafka (default 6)
  --seed S             to draw devices and times again

Exit code 1: a command is missing, out of order, a dead letter, or repeated more often than docs/downlink.md says.
`;

const { values } = parseArgs({
  options: {
    store: { type: 'string', multiple: true, default: [...stores] },
    devices: { type: 'string', default: '1000' },
    commands: { type: 'string', default: '50000' },
    seconds: { type: 'string', default: '90' },
    kills: { type: 'string', default: '6' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function whole(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0)
    throw new Error(`--${name} must be a whole number, not ${text}`);
  return value;
}

async function main(): Promise<boolean> {
  let good = true;
  for (const store of values.store) {
    if (!(stores as readonly string[]).includes(store)) throw new Error(`--store is ${stores.join(' or ')}`);
    const report = await runCampaign({
      store: store as StoreName,
      devices: whole('devices', values.devices),
      commands: whole('commands', values.commands),
      sendMs: whole('seconds', values.seconds) * 1_000,
      partitions: 6,
      windowRecords: 500,
      kills: whole('kills', values.kills),
      timeoutMs: 600_000,
      ...(values.seed === undefined ? {} : { seed: whole('seed', values.seed) }),
    });
    console.log(`${store}: ${JSON.stringify(report)}`);
    const { missing, disordered, strange, deadLetters, duplicates, duplicatesMax } = report;
    good &&=
      missing === 0 && disordered.length === 0 && strange === 0 && deadLetters === 0 && duplicates <= duplicatesMax;
  }
  console.log(good ? 'held' : 'DID NOT HOLD');
  return good;
}

if (values.help) console.log(USAGE);
else process.exitCode = (await main()) ? 0 : 1;
