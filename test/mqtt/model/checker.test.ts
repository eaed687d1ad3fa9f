import { describe, expect, it } from 'vitest';
import { check, outstanding } from './checker.ts';
import type { Delivered, Event, History } from './history.ts';

const device = 'd';
const publisher = 'p';

const published = (number: number, qos: 0 | 1 | 2 = 2, retain = false): Event => ({
  kind: 'published',
  publisher,
  number,
  topic: 's/0',
  qos,
  retain,
});
const acknowledged = (number: number): Event => ({ kind: 'acknowledged', publisher, number });
const delivered = (number: number, more: Partial<Delivered> = {}): Event => ({
  kind: 'delivered',
  device,
  publisher,
  number,
  topic: 's/0',
  qos: 2,
  retain: false,
  dup: false,
  again: false,
  ...more,
});
const subscribing = (filter = 's/+', qos: 0 | 1 | 2 = 2): Event => ({ kind: 'subscribing', device, filter, qos });
const subscribed = (filter = 's/+'): Event => ({ kind: 'subscribed', device, filter });
const subscription = [subscribing(), subscribed()];

/** Three messages of QoS 2, each published, acknowledged and delivered. */
const sound: History = [
  { kind: 'connected', device, expected: false, sessionPresent: false },
  ...subscription,
  ...[0, 1, 2].flatMap((number) => [published(number), acknowledged(number)]),
  ...[0, 1, 2].map((number) => delivered(number)),
];
const rules = (history: History): string[] => check(history).map(({ rule }) => rule);
/** The sound history with the deliveries replaced. */
const delivering = (...deliveries: Event[]): History => [
  ...sound.filter(({ kind }) => kind !== 'delivered'),
  ...deliveries,
];

describe('the checker of publish and subscribe', () => {
  it('finds nothing in a sound history', () => {
    expect(rules(sound)).toEqual([]);
  });

  it('finds a loss of QoS 1 and 2, and says what is still to come', () => {
    expect(rules(delivering(delivered(0), delivered(2)))).toEqual(['lost']);
    expect(outstanding(delivering(delivered(0), delivered(2)))).toEqual(['d: p:1 on s/0, QoS 2']);
    expect(rules([...subscription, published(0, 1), acknowledged(0)])).toEqual(['lost']);
  });

  it('finds a duplicate of QoS 2, and allows one of QoS 1', () => {
    expect(rules(delivering(delivered(0), delivered(1), delivered(2), delivered(1)))).toEqual(['twice']);
    const twice = [delivered(0, { qos: 1 }), delivered(0, { qos: 1 })];
    expect(rules([...subscription, published(0, 1), acknowledged(0), ...twice])).toEqual([]);
  });

  it('takes a QoS 2 message once that is sent again under its packet id, with DUP', () => {
    const again = (dup: boolean): Event => delivered(1, { again: true, dup });
    expect(rules(delivering(delivered(0), delivered(1), again(true), delivered(2)))).toEqual([]);
    expect(rules(delivering(delivered(0), delivered(1), again(false), delivered(2)))).toEqual(['no DUP']);
    // Under a packet id that a device is not done with it has not seen it.
    expect(rules(delivering(delivered(0), again(true), delivered(2)))).toContain('lost');
  });

  it('finds two that are swapped, and allows a suffix that is repeated', () => {
    expect(rules(delivering(delivered(0), delivered(2), delivered(1)))).toEqual(['order']);
    const history = [...subscription, ...[0, 1].flatMap((number) => [published(number, 1), acknowledged(number)])];
    const one = (number: number): Event => delivered(number, { qos: 1 });
    expect(rules([...history, one(0), one(1), one(0), one(1)])).toEqual([]);
  });

  it('finds what nobody has published, or published on another topic', () => {
    expect(rules([...sound, delivered(7)])).toEqual(['not published']);
    expect(rules(delivering(delivered(0), delivered(1), delivered(2, { topic: 's/1' })))).toContain('not published');
  });

  it('finds what the device has not subscribed to, or no longer', () => {
    expect(rules([subscribing('t/#'), subscribed('t/#'), published(0), acknowledged(0), delivered(0)])).toEqual([
      'not subscribed',
    ]);
    const ended: Event[] = [
      { kind: 'unsubscribing', device, filter: 's/+' },
      { kind: 'unsubscribed', device, filter: 's/+' },
    ];
    expect(rules([...subscription, ...ended, published(0), delivered(0)])).toEqual(['not subscribed']);
    // On its way while the subscription ended.
    expect(rules([...subscription, published(0), ...ended, delivered(0)])).toEqual([]);
    expect(rules([...subscription, published(0), acknowledged(0), ...ended])).toEqual([]);
  });

  it('expects nothing of a session that has ended', () => {
    const ended: Event = { kind: 'session ended', device };
    expect(rules([...subscription, published(0), acknowledged(0), ended])).toEqual([]);
    expect(rules([...subscription, ended, published(0), acknowledged(0), delivered(0)])).toEqual(['not subscribed']);
  });

  it('finds a QoS that is not the lower one of publish and subscription', () => {
    const history = [subscribing('s/+', 1), subscribed(), published(0), acknowledged(0)];
    expect(rules([...history, delivered(0, { qos: 1 })])).toEqual([]);
    expect(rules([...history, delivered(0, { qos: 2 })])).toEqual(['wrong QoS']);
  });

  it('finds a session that is not there or should not be', () => {
    const connected = (expected: boolean, sessionPresent: boolean): Event => ({
      kind: 'connected',
      device,
      expected,
      sessionPresent,
    });
    expect(rules([connected(true, true), connected(false, false)])).toEqual([]);
    expect(rules([connected(true, false), connected(false, true)])).toEqual(['session present', 'session present']);
  });

  it('finds a device that was closed, but by a broker that stops', () => {
    const closed: Event = { kind: 'closed', device, reasonCode: 0x82 };
    expect(rules([{ kind: 'restarting' }, closed, { kind: 'restarted' }])).toEqual([]);
    expect(rules([{ kind: 'restarting' }, { kind: 'restarted' }, closed])).toEqual(['closed']);
  });

  it('finds a retained flag on a message that was not retained', () => {
    expect(rules([...sound, delivered(1, { retain: true })])).toEqual(['retained']);
    expect(rules([published(0, 2, true), ...subscription, delivered(0, { retain: true })])).toEqual([]);
  });
});
