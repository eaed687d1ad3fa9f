import { describe, expect, it } from 'vitest';
import { Lanes, type Publishing } from '../../../src/mqtt/delivery/lane.ts';
import type { PublishPacket } from '../../../src/mqtt/patches/internals.ts';

/** A connection whose messages are with the subscribers when the test says so. */
class Held implements Publishing {
  readonly begun: string[] = [];
  readonly passedOn: string[] = [];
  #finish: ((error?: Error | null) => void)[] = [];

  publish(packet: PublishPacket, done: (error?: Error | null) => void): void {
    this.begun.push(packet.topic);
    this.#finish.push(done);
  }

  passed(done: () => void): void {
    done();
  }

  finish(error?: Error): void {
    this.#finish.shift()?.(error);
  }
}

const packet = (topic: string): PublishPacket => ({ topic }) as PublishPacket;

describe('the lane of a client id', () => {
  it('delivers one message after another, also of the connection that comes after [MQTT-4.6.0-6]', () => {
    const lanes = new Lanes();
    const [first, second] = [new Held(), new Held()];
    const lane = lanes.enter('a');
    const done: string[] = [];
    lane.deliver(first, packet('1'), () => done.push('1'));
    lane.deliver(first, packet('2'), () => done.push('2'));
    const next = lanes.enter('a');
    lanes.leave('a', lane);
    next.deliver(second, packet('3'), () => done.push('3'));
    expect([first.begun, second.begun]).toEqual([['1'], []]);
    first.finish();
    first.finish(new Error('not delivered'));
    expect([first.begun, second.begun]).toEqual([['1', '2'], ['3']]);
    second.finish();
    expect(done).toEqual(['1', '2', '3']);
  });

  it('is another one for each client id, and goes once its connections have left and it is idle', () => {
    const lanes = new Lanes();
    const lane = lanes.enter('a');
    expect(lanes.enter('b')).not.toBe(lane);
    const held = new Held();
    lane.deliver(held, packet('1'), () => undefined);
    lanes.leave('a', lane);
    expect(lanes.size).toBe(2);
    expect(lanes.enter('a')).toBe(lane);
    lanes.leave('a', lane);
    held.finish();
    expect(lanes.size).toBe(1);
  });
});

describe('after a fault that nobody caught', () => {
  it('what is lost is given up, and what waited behind it goes on; its late answer counts for nothing', () => {
    const lanes = new Lanes();
    const held = new Held();
    const lane = lanes.enter('a');
    const done: string[] = [];
    for (const name of ['lost', 'next', 'last']) lane.deliver(held, packet(name), () => done.push(name));
    const giveUpLost = lanes.suspect();
    giveUpLost();
    expect(held.begun).toEqual(['lost', 'next']);
    held.finish();
    expect([done, held.begun]).toEqual([['lost'], ['lost', 'next']]);
    // What came to an end meanwhile is not given up.
    giveUpLost();
    held.finish();
    held.finish();
    expect(done).toEqual(['lost', 'next', 'last']);
  });
});
