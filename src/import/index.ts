import { importConfluentProxy } from './confluent-proxy.ts';
import type { Imported } from './draft.ts';
import { importEmqx } from './emqx.ts';
import { importStrimzi } from './strimzi.ts';

export type { Imported } from './draft.ts';

/** What can be imported, by the name of the command. Each throws SluiceError where the file is not of its kind. */
export const importers: Readonly<Record<string, (text: string) => Imported>> = {
  'confluent-proxy': importConfluentProxy,
  strimzi: importStrimzi,
  emqx: importEmqx,
};
