import { decompress, type PayloadCodec } from './decompress.ts';
import type { ValueFault } from './fault.ts';
import { parseJson, type Json } from './json.ts';

/** A payload, and what was made of it: once per message, and only what some route asks for. */
export class PayloadView {
  readonly bytes: Buffer;
  #json: Json | ValueFault | undefined;
  #unpacked: { codec: PayloadCodec; maxBytes: number; view: PayloadView | ValueFault } | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  json(): Json | ValueFault {
    return (this.#json ??= parseJson(this.bytes));
  }

  /** The last one is remembered: routes of a message that decompress it do so in the same way. */
  decompressed(codec: PayloadCodec, maxBytes: number): PayloadView | ValueFault {
    const known = this.#unpacked;
    if (known?.codec === codec && known.maxBytes === maxBytes) return known.view;
    const bytes = decompress(this.bytes, codec, maxBytes);
    const view = Buffer.isBuffer(bytes) ? new PayloadView(bytes) : bytes;
    this.#unpacked = { codec, maxBytes, view };
    return view;
  }
}
