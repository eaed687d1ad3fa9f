/**
 * The guard: a strict validator of MQTT 3.1, 3.1.1 and 5 on the bytes of one connection, between the socket and aedes. It is a
 * machine of its own that knows neither:
 *
 *     connecting ── a valid CONNECT ──> connected ── a valid DISCONNECT ──> over
 *         └──────────── a violation ────────┴──────── a violation ───────────┘
 *
 * Within a packet it either gathers the head (all of a packet but the payload of a PUBLISH) until it is whole and checked, or
 * lets the payload pass. Only what is checked goes on. A head that comes whole and a payload that comes in decent pieces go on
 * as they came, without a copy; heads that come in pieces, and payloads that come in crumbs, are gathered first.
 *
 * Held per connection: one head, at most as large as a packet may be, and a fraction of one payload.
 */
import { connackRefused, connackRefusedV3, disconnect } from '../wire.ts';
import { checkConnect } from './connect.ts';
import { Fields } from './fields.ts';
import { Properties } from './properties.ts';
import { checkPublish, checkPublishFlags, publishHeadEnd } from './publish.ts';
import { broken, RuleBroken, rules, type Rule } from './rules.ts';
import { newSession, type GuardLimits, type Session } from './session.ts';
import { acknowledgements, checkAcknowledgement, checkAuth, checkDisconnect } from './small.ts';
import { checkSubscribe, checkUnsubscribe } from './subscribe.ts';

export type { GuardLimits } from './session.ts';

const Type = {
  connect: 1,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
  auth: 15,
} as const;

const NAMES =
  'type 0,CONNECT,CONNACK,PUBLISH,PUBACK,PUBREC,PUBREL,PUBCOMP,SUBSCRIBE,SUBACK,UNSUBSCRIBE,UNSUBACK,PINGREQ,PINGRESP,DISCONNECT,AUTH'.split(
    ',',
  );

/** Pieces of a payload that are smaller than this are put together before they go on: each costs more than its bytes. */
const PIECE_BYTES = 1_024;
/** What a gathered head takes at first. */
const HELD_FIRST_BYTES = 256;

/** A packet that breaks a rule: what is logged, and what the client is told. */
export class Violation extends Error {
  /** As the specifications number it: MQTT-3.3.2-2. */
  readonly clause: string;
  readonly reasonCode: number;
  /** What the client gets before the connection ends; undefined: nothing, the specification wants none. */
  readonly answer: Buffer | undefined;

  constructor(rule: Rule, packet: string, version: number, answer: Buffer | undefined) {
    const clause = rule.clauses[version === 5 ? 1 : 0];
    super(`${packet}: ${rule.text} [${clause}]`);
    this.name = 'Violation';
    this.clause = clause;
    this.reasonCode = rule.reasonCode;
    this.answer = answer;
  }
}

// What is read of a packet is read at once: one of each serves all connections.
const fields = new Fields();
const properties = new Properties();

export class Guard {
  readonly #session: Session;
  #over = false;
  /** A head, or crumbs of a payload (#payloadLeft > 0). */
  #held: Buffer = EMPTY;
  #heldBytes = 0;
  /** How many bytes of a head tell more. */
  #neededBytes = 0;
  /** To come of the payload of a PUBLISH whose head has gone on. */
  #payloadLeft = 0;

  constructor(limits: GuardLimits) {
    this.#session = newSession(limits);
  }

  /** 0 until a CONNECT has named it. */
  get version(): number {
    return this.#session.version;
  }

  /** Memory taken by what is held back. */
  get heldBytes(): number {
    return this.#held.length;
  }

  /**
   * Takes what was read and hands on what is valid of it, in order. Nothing is taken after a violation, nor after a DISCONNECT
   * ([MQTT-3.14.4-1]: nothing may follow it).
   */
  take(chunk: Buffer, onward: (valid: Buffer) => void): Violation | undefined {
    if (this.#over || chunk.length === 0) return undefined;
    let at = 0;
    if (this.#heldBytes > 0 && this.#payloadLeft === 0) {
      try {
        at = this.#gatherHead(chunk);
      } catch (error) {
        return this.#violated(error, this.#held[0]!);
      }
      if (at < 0) return undefined;
      onward(this.#release());
      if (this.#over) return undefined;
    }
    // What is not handed on yet, and valid up to `at`.
    let from = at;
    if (this.#payloadLeft > 0) {
      at = Math.min(chunk.length, from + this.#payloadLeft);
      this.#payloadLeft -= at - from;
      if (this.#payloadLeft > 0 && at - from < PIECE_BYTES) {
        this.#hold(chunk, from, at, PIECE_BYTES * 2);
        if (this.#heldBytes >= PIECE_BYTES) onward(this.#release());
        return undefined;
      }
      if (this.#heldBytes > 0) onward(this.#release());
    }
    let violation: Violation | undefined;
    try {
      while (at < chunk.length) {
        const size = this.#examine(chunk, at, chunk.length);
        if (size === 0) break;
        at += size;
        if (at > chunk.length) {
          this.#payloadLeft = at - chunk.length;
          at = chunk.length;
        }
        if (this.#over) break;
      }
    } catch (error) {
      violation = this.#violated(error, chunk[at]!);
    }
    if (at > from) onward(from === 0 && at === chunk.length ? chunk : chunk.subarray(from, at));
    from = at;
    if (from < chunk.length && !this.#over) this.#hold(chunk, from, chunk.length, this.#neededBytes);
    return violation;
  }

  /** Adds to the head that is held until it is whole; returns how far it has read, -1 where the chunk was not enough. */
  #gatherHead(chunk: Buffer): number {
    let at = 0;
    for (;;) {
      const end = Math.min(chunk.length, at + this.#neededBytes - this.#heldBytes);
      this.#hold(chunk, at, end, this.#neededBytes);
      at = end;
      if (this.#heldBytes < this.#neededBytes) return -1;
      const size = this.#examine(this.#held, 0, this.#heldBytes);
      if (size > 0) {
        this.#payloadLeft = size - this.#heldBytes;
        return at;
      }
    }
  }

  /** Copies what cannot go on yet. `expectedBytes`: as much will be held as far as one knows. */
  #hold(chunk: Buffer, from: number, to: number, expectedBytes: number): void {
    const bytes = this.#heldBytes + to - from;
    if (bytes > this.#held.length) {
      // A client that claims much and sends little holds little.
      const capacity = Math.max(bytes, Math.min(expectedBytes, Math.max(HELD_FIRST_BYTES, 2 * this.#held.length)));
      const larger = Buffer.allocUnsafeSlow(capacity);
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    chunk.copy(this.#held, this.#heldBytes, from, to);
    this.#heldBytes = bytes;
  }

  #release(): Buffer {
    const held = this.#held.subarray(0, this.#heldBytes);
    this.#held = EMPTY;
    this.#heldBytes = 0;
    return held;
  }

  /**
   * The size of the packet that begins at `at`, once all of it but its payload is there and valid; 0: more is needed, as much as
   * #neededBytes says.
   */
  #examine(bytes: Buffer, at: number, end: number): number {
    const session = this.#session;
    const first = bytes[at]!;
    const type = first >> 4;
    if (type === Type.publish && session.connected) checkPublishFlags(first & 0x0f);
    else checkHeader(type, first & 0x0f, session);

    // Remaining length
    let body = at + 1;
    let length = 0;
    for (let scale = 1; ; scale *= 0x80) {
      if (body === end) return this.#need(body + 1 - at);
      const byte = bytes[body++]!;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) broken(rules.lengthNotMinimal);
        break;
      }
      if (scale === 0x200000) broken(rules.lengthTooLong);
    }
    const packetEnd = body + length;
    const size = packetEnd - at;
    const { limits } = session;
    if (size > (session.connected ? limits.packetMaxBytes : limits.connectMaxBytes)) {
      if (!session.connected) peekVersion(bytes, body, end, session);
      broken(rules.tooLarge);
    }

    if (type === Type.publish) {
      const headEnd = publishHeadEnd(bytes, first & 0x0f, session.version, body, end, packetEnd);
      if (headEnd < 0) return this.#need(-headEnd - at);
      checkPublish(bytes, first & 0x0f, body, headEnd, session, fields, properties);
      return size;
    }
    if (packetEnd > end) return this.#need(size);
    fields.open(bytes, body, packetEnd, type === Type.connect ? rules.connectFormat : rules.short);
    this.#checkBody(type);
    fields.close();
    return size;
  }

  #need(bytes: number): 0 {
    this.#neededBytes = bytes;
    return 0;
  }

  #checkBody(type: number): void {
    const session = this.#session;
    switch (type) {
      case Type.connect:
        checkConnect(fields, properties, session);
        session.connected = true;
        return;
      case Type.puback:
        return checkAcknowledgement(acknowledgements.puback, fields, properties, session);
      case Type.pubrec:
        return checkAcknowledgement(acknowledgements.pubrec, fields, properties, session);
      case Type.pubrel:
        return checkAcknowledgement(acknowledgements.pubrel, fields, properties, session);
      case Type.pubcomp:
        return checkAcknowledgement(acknowledgements.pubcomp, fields, properties, session);
      case Type.subscribe:
        return checkSubscribe(fields, properties, session);
      case Type.unsubscribe:
        return checkUnsubscribe(fields, properties, session);
      case Type.pingreq:
        if (!fields.done) broken(rules.trailing);
        return;
      case Type.disconnect:
        checkDisconnect(fields, properties, session);
        this.#over = true;
        return;
      case Type.auth:
        return checkAuth(fields, properties, session);
      default:
        broken(rules.typeReserved);
    }
  }

  #violated(error: unknown, first: number): Violation {
    this.#over = true;
    this.#held = EMPTY;
    this.#heldBytes = 0;
    fields.close();
    if (!(error instanceof RuleBroken)) throw error;
    const { version } = this.#session;
    return new Violation(error.rule, NAMES[first >> 4]!, version, answerTo(error.rule, this.#session));
  }
}

const EMPTY = Buffer.alloc(0);

/** Type and flags of the fixed header, and whether such a packet may come now. */
function checkHeader(type: number, flags: number, session: Session): void {
  if (!session.connected) {
    // [MQTT-3.1.0-1]
    if (type !== Type.connect) broken(rules.notConnect);
    if (flags !== 0) broken(rules.flags);
    return;
  }
  switch (type) {
    case Type.connect:
      return broken(rules.secondConnect);
    case Type.pubrel:
      return expectFlags(flags, 2, rules.flagsPubrel);
    case Type.subscribe:
      return expectFlags(flags, 2, rules.flagsSubscribe);
    case Type.unsubscribe:
      return expectFlags(flags, 2, rules.flagsUnsubscribe);
    case Type.disconnect:
      return expectFlags(flags, 0, rules.flagsDisconnect);
    case Type.puback:
    case Type.pubrec:
    case Type.pubcomp:
    case Type.pingreq:
      return expectFlags(flags, 0, rules.flags);
    case Type.auth:
      if (session.version !== 5) return broken(rules.typeReserved);
      return expectFlags(flags, 0, rules.flagsAuth);
    case 0:
      return broken(rules.typeReserved);
    default:
      return broken(rules.serverSends);
  }
}

function expectFlags(flags: number, expected: number, rule: Rule): void {
  if (flags !== expected) broken(rule);
}

/** A CONNECT that is too large to be taken may have said its version already, and with it how it wants to be told. */
function peekVersion(bytes: Buffer, body: number, end: number, session: Session): void {
  if (end - body >= 7 && bytes.toString('latin1', body, body + 7) === '\0\x04MQTT\x05') session.version = 5;
}

/**
 * §4.13 of MQTT 5: CONNACK for a CONNECT, DISCONNECT after it. MQTT 3.1.1 has an answer for a version and a client identifier
 * that the server does not accept, and else none ([MQTT-3.1.4-1], [MQTT-4.8.0-1]); nor has whoever does not speak MQTT.
 */
function answerTo(rule: Rule, { version, connected }: Session): Buffer | undefined {
  if (version === 5) return connected ? disconnect(rule.reasonCode) : connackRefused(rule.reasonCode);
  return rule.returnCode === undefined ? undefined : connackRefusedV3(rule.returnCode);
}
