import { connectAsync } from 'mqtt';
import { expect, it } from 'vitest';
import { consume, header } from '../support/kcat.ts';
import { freePort, sharedKafka, uniqueTopic } from '../support/services.ts';
import { SluiceProcess } from '../support/sluice.ts';

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const tracestate = 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE';

it('trace context of a publisher, over MQTT 5 or HTTP, is in the headers of the Kafka record', async () => {
  const kafka = await sharedKafka();
  const topic = uniqueTopic('trace');
  await kafka.createTopic(topic, 1);
  const port = await freePort();
  const sluice = await SluiceProcess.start({
    brokers: kafka.brokers,
    routes: [{ from: 'devices/#', to: topic }],
    settings: { 'listeners.http.port': port },
  });
  try {
    const client = await connectAsync(sluice.url, { protocolVersion: 5 });
    const userProperties = { traceparent, tracestate };
    await client.publishAsync('devices/mqtt', 'x', { qos: 1, properties: { userProperties } });
    await client.endAsync();
    const init = { method: 'POST', body: 'x', headers: { traceparent, tracestate } };
    expect((await fetch(`http://127.0.0.1:${port}/publish/devices/http`, init)).status).toBe(200);
    await sluice.drained();
    const records = await consume(kafka.brokers, topic);
    expect(records.map((record) => header(record, 'mqtt-topic')).sort()).toEqual(['devices/http', 'devices/mqtt']);
    for (const record of records) {
      expect(header(record, 'traceparent')).toBe(traceparent);
      expect(header(record, 'tracestate')).toBe(tracestate);
    }
  } finally {
    await sluice.discard();
  }
});
