import { Duplex } from 'node:stream';
import mqttPacket from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { raw, start } from './support/harness.ts';

const PAYLOAD = 'x'.repeat(100);

/** A peer with no network in between: once it is acknowledged for the first time it publishes as fast as it is read, and takes nothing. */
class DeafPublisher extends Duplex {
  /** Bytes of publishes that the broker took. */
  taken = 0;
  readonly #parser = mqttPacket.parser();
  #deaf = false;
  #messageId = 0;

  constructor() {
    super();
    this.#parser.on('packet', ({ cmd }) => {
      this.#deaf = cmd === 'puback';
      this.#publish();
    });
    this.push(
      mqttPacket.generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clientId: 'deaf',
        clean: true,
        keepalive: 0,
      }),
    );
  }

  override _read(): void {
    if (this.#deaf) this.#publish();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#deaf) return;
    this.#parser.parse(chunk);
    done();
  }

  #publish(): void {
    this.#messageId = (this.#messageId % 65_535) + 1;
    const packet = mqttPacket.generate({
      cmd: 'publish',
      topic: 'r/noise',
      payload: PAYLOAD,
      qos: 1,
      messageId: this.#messageId,
      dup: false,
      retain: false,
    });
    this.taken += packet.length;
    this.push(packet);
  }
}

describe('a publisher that never reads its acknowledgements', () => {
  it('is not read any more after a bounded number of them, and disconnected; others go on', async () => {
    const test = await start({ limits: { drainTimeoutMs: 700 } });
    const deaf = new DeafPublisher();
    test.broker.handle(deaf, { listener: 'mqtt', remoteAddress: '127.0.0.1', remotePort: 0 });
    let before = -1;
    await eventually(() => {
      const still = deaf.taken === before && before > 10_000;
      before = deaf.taken;
      return still;
    });
    // Acknowledgements up to what a stream holds, and what is read and not finished.
    expect(deaf.taken).toBeLessThan(2 * 2 ** 20);
    const other = await raw(test, { clientId: 'other' });
    other.publish('r/1', 'a', 1, 1);
    await other.until('puback');
    await eventually(() => deaf.destroyed, 20_000, 'the deaf publisher stays');
    expect(test.failed.map(({ clientId, error }) => `${clientId}: ${error.message}`)).toEqual(['deaf: drain timeout']);
    expect(other.closed).toBe(false);
  });
});
