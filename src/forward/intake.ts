/** Turns the messages of a frame into records and deals them out to the lanes. */
import type { Message } from '../message.ts';
import { errorText } from '../errors.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Lanes } from './lanes.ts';
import type { Mapper, MappingFault } from './mapper.ts';
import type { MappedRecord } from './mapping.ts';
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
}
