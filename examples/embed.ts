/**
 * sluice inside your own program: a broker for devices, and messages of the program itself, with the same guarantee.
 *
 *     KAFKA_BROKERS=localhost:9092 node embed.js
 */
import { createSluice } from 'sluice';

const sluice = createSluice({
  listeners: { mqtt: { port: Number(process.env['MQTT_PORT'] ?? 1883) }, ws: false },
  kafka: { brokers: (process.env['KAFKA_BROKERS'] ?? 'localhost:9092').split(',') },
  buffer: { path: process.env['DATA'] ?? './sluice-data' },
  routes: [{ name: 'machines', from: 'machines/{machineId}/events', to: 'machine-events', key: '{machineId}' }],
  log: { level: 'warn' },
});
sluice.on('incident', ({ event, message }) => console.error(`${event}: ${message}`));

await sluice.start();
for (const { url } of (await sluice.status()).listeners) console.log(`devices connect to ${url}`);

// Resolves once the message is durable in the buffer; Kafka may be away.
for (let piece = 1; piece <= 3; piece++) {
  await sluice.publish({ topic: 'machines/press-7/events', payload: JSON.stringify({ piece }), qos: 1 });
}

// Delivers what is buffered, for up to shutdownTimeout. What is left is delivered at the next start.
await sluice.stop();
const { delivered, buffered } = (await sluice.status()).ledger;
console.log(`${delivered} messages are in Kafka, ${buffered} wait in the buffer`);
