/** Bare aedes as its documentation sets it up: in memory, nobody subscribes, it only acknowledges. */
import net from 'node:net';
import { Aedes } from 'aedes';
import { serve } from '../role.mjs';

let broker;
let server;

serve({
  async start() {
    broker = await Aedes.createBroker();
    server = net.createServer(broker.handle);
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return { port: server.address().port };
  },
  async stop() {
    await new Promise((resolve) => broker.close(resolve));
    await new Promise((resolve) => server.close(resolve));
    return {};
  },
});
