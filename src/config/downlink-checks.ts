/** What only the downlinks' own language can tell: templates, conditions, names of Kafka topics, names used twice. */
import { checkDownlinks } from '../downlink/mapping.ts';
import type { DownlinkConfig } from './config.ts';
import type { Path } from './shape.ts';
import type { Finding } from './tree.ts';

/** `skip`: this value is wrong already, or stands in for one that is. */
export function checkDownlinkSection(downlinks: readonly DownlinkConfig[], skip: (path: Path) => boolean): Finding[] {
  return checkDownlinks(downlinks)
    .map(({ path, message, wayOut }) => ({ path: ['downlinks', ...path], message, wayOut }))
    .filter(({ path }) => !skip(path));
}
