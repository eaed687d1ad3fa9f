/** The fields of one packet, read in their order (§1.5). Nothing is decoded that need not be. */
import { broken, rules, type Rule } from './rules.ts';
import { checkText } from './text.ts';

export class Fields {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  /** What it is when a field does not fit. */
  #short: Rule = rules.short;

  open(bytes: Uint8Array, at: number, end: number, short: Rule): void {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.#short = short;
  }

  /** Nothing is kept of a packet that is done. */
  close(): void {
    this.bytes = EMPTY;
    this.at = this.end = 0;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  byte(): number {
    this.#take(1);
    return this.bytes[this.at - 1]!;
  }

  twoBytes(): number {
    this.#take(2);
    return (this.bytes[this.at - 2]! << 8) | this.bytes[this.at - 1]!;
  }

  fourBytes(): number {
    const high = this.twoBytes();
    return high * 0x10000 + this.twoBytes();
  }

  /** [MQTT-1.5.5-1] */
  variableByteInteger(): number {
    let value = 0;
    for (let scale = 1; scale <= 0x200000; scale *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) broken(rules.lengthNotMinimal);
        return value;
      }
    }
    return broken(rules.lengthTooLong);
  }

  /** Moves behind a string or binary data, and tells where it begins. */
  skip(): number {
    const length = this.twoBytes();
    this.#take(length);
    return this.at - length;
  }

  text(): void {
    const start = this.skip();
    checkText(this.bytes, start, this.at);
  }

  #take(count: number): void {
    if (this.at + count > this.end) broken(this.#short);
    this.at += count;
  }
}

const EMPTY = new Uint8Array(0);
