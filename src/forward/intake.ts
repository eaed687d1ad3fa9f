/** Turns the messages of a frame into records and deals them out to the lanes. */
import type { Message } from '../message.ts';
import { errorText } from '../errors.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Lanes } from './lanes.ts';
import type { Mapper } from './mapper.ts';
import { isRuled, type MappedRecord, type NoRecord } from './mapping.ts';
import type { OpenMessages } from './open-messages.ts';
import type { WaitingRecord } from './parked-entry.ts';
import type { OpenFrame } from './span.ts';

export type RecordMapper = Pick<Mapper, 'map' | 'mapDeadLetter'>;

export class Intake {
  /** After a reload of the routes, another one: what is still in the buffer is mapped with it. */
  mapper: RecordMapper;
  readonly #lanes: Lanes;
  readonly #deadLetters: DeadLetters;
  readonly #out: MappedRecord[] = [];

  constructor(mapper: RecordMapper, lanes: Lanes, deadLetters: DeadLetters) {
    this.mapper = mapper;
    this.#lanes = lanes;
    this.#deadLetters = deadLetters;
  }

  dispatch(frame: OpenFrame, messages: readonly Message[], first: number): void {
    const { base, logId } = frame;
    const { shard } = frame.ownership;
    const out = this.#out;
    for (let index = first; index < messages.length; index++) {
      out.length = 0;
      let missing: readonly NoRecord[];
      try {
        missing = this.mapper.map(messages[index] as Message, base + index, logId, shard, out);
      } catch (error) {
        // One message must not stop the log behind it, whatever is wrong with it.
        this.#deadLetters.unmappable(frame, index, {
          code: 'MAPPING_FAILED',
          reason: errorText(error),
          route: undefined,
        });
        continue;
      }
      for (let at = 0; at < out.length; at++) this.#lanes.push(out[at] as MappedRecord, frame, index);
      for (let at = 0; at < missing.length; at++) {
        const none = missing[at] as NoRecord;
        if (!isRuled(none)) this.#deadLetters.unmappable(frame, index, none);
        // A rule counts only where nothing else became of the message.
        else if (out.length === 0) frame.ruled(index, none.rule);
      }
    }
    out.length = 0;
  }

  /** Makes records again that waited, with the routes of now. What has lost its route becomes a dead letter. */
  resend(owner: OpenMessages, index: number, records: readonly WaitingRecord[]): void {
    for (const record of records) {
      if (record.letter !== undefined) this.#deadLetters.again(owner, index, record, record.letter);
    }
    const waiting = records.filter(({ letter }) => letter === undefined);
    if (waiting.length === 0) return;
    const out: MappedRecord[] = [];
    let missing: readonly NoRecord[];
    try {
      missing = this.mapper.map(owner.message(index), owner.offset(index), owner.logId, owner.ownership.shard, out);
    } catch (error) {
      out.length = 0;
      missing = [{ code: 'MAPPING_FAILED', reason: errorText(error), route: undefined }];
    }
    const names = new Set(waiting.map(nameOf));
    for (const record of out) if (names.delete(nameOf(record))) this.#lanes.push(record, owner, index);
    // What is left has no record any more. One reason for each route, however many elements it had.
    for (const route of new Set(waiting.filter((each) => names.has(nameOf(each))).map((each) => each.route))) {
      const why = missing.find((each) => each.route === route) ?? missing.find((each) => each.route === undefined);
      if (why !== undefined && isRuled(why)) {
        owner.ruled(index, why.rule);
        continue;
      }
      const code = why?.code ?? 'NO_ROUTE';
      const reason = why?.reason ?? 'its route does not match its topic any more';
      this.#deadLetters.unmappable(owner, index, { code, reason, route });
    }
  }
}

/** Names a record among those of its message. */
function nameOf({ route, index }: { readonly route: string | undefined; readonly index?: number | undefined }): string {
  return `${index ?? ''} ${route ?? ''}`;
}
