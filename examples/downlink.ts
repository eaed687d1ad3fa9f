/**
 * Commands from Kafka to devices: a record with the key press-7 in the topic machine-commands goes to machines/press-7/commands. A device
 * that is away finds it in its session.
 *
 *     KAFKA_BROKERS=localhost:9092 node downlink.js
 */
import { createSluice } from 'sluice';

const sluice = createSluice({
  listeners: { mqtt: { port: Number(process.env['MQTT_PORT'] ?? 1883) }, ws: false },
  kafka: { brokers: (process.env['KAFKA_BROKERS'] ?? 'localhost:9092').split(',') },
  buffer: { path: process.env['DATA'] ?? './sluice-data' },
  downlinks: [
    {
      name: 'commands',
      from: 'machine-commands',
      to: 'machines/{key}/commands',
      // What nobody has subscribed to waits for so long, then goes to sluice.downlink.dead-letter.
      noSubscriber: 'hold',
      holdTimeout: '10m',
    },
  ],
  log: { level: 'warn' },
});
sluice.on('incident', ({ event, message }) => console.error(`${event}: ${message}`));

await sluice.start();
for (const { url } of (await sluice.status()).listeners) console.log(`devices connect to ${url}`);

// Ends with what is done committed; what is not comes again at the next start.
await new Promise((stop) => process.once('SIGTERM', stop));
await sluice.stop();
const [commands] = (await sluice.status()).downlinks;
console.log(`${commands?.outcomes['delivered'] ?? 0} commands were delivered`);
