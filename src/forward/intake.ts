/** Turns the messages of a frame into records and deals them out to the lanes. */
import type { Message } from '../message.ts';
import { errorText } from '../errors.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Lanes } from './lanes.ts';
import type { Mapper, MappingFault } from './mapper.ts';
import type { MappedRecord } from './mapping.ts';
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
      let faults: readonly MappingFault[] | undefined;
      try {
        faults = this.mapper.map(messages[index] as Message, base + index, logId, shard, out);
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
      for (let at = 0; at < faults.length; at++) {
        this.#deadLetters.unmappable(frame, index, faults[at] as MappingFault);
      }
    }
    out.length = 0;
  }

  /** Makes records again that waited, with the routes of now. What has lost its route becomes a dead letter. */
  resend(owner: OpenMessages, index: number, records: readonly WaitingRecord[]): void {
    for (const { route, letter } of records)
      if (letter !== undefined) this.#deadLetters.again(owner, index, route, letter);
    const routes = new Set(records.filter(({ letter }) => letter === undefined).map(({ route }) => route));
    if (routes.size === 0) return;
    const out: MappedRecord[] = [];
    let faults: readonly (MappingFault | { code: string; reason: string; route: undefined })[];
    try {
      faults = this.mapper.map(owner.message(index), owner.offset(index), owner.logId, owner.ownership.shard, out);
    } catch (error) {
      out.length = 0;
      faults = [{ code: 'MAPPING_FAILED', reason: errorText(error), route: undefined }];
    }
    for (const record of out) if (routes.has(record.route)) this.#lanes.push(record, owner, index);
    for (const route of routes) {
      if (out.some((record) => record.route === route)) continue;
      const fault = faults.find((each) => each.route === route) ?? faults.find((each) => each.route === undefined);
      const code = fault?.code ?? 'NO_ROUTE';
      const reason = fault?.reason ?? 'its route does not match its topic any more';
      this.#deadLetters.unmappable(owner, index, { code, reason, route });
    }
  }
}
