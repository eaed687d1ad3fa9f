/** The one schema of sluice.yaml: it yields the defaults, the types, the reference and the JSON Schema. */
import { z } from 'zod';
import { acl } from './sections/acl.ts';
import { auth } from './sections/auth.ts';
import { buffer } from './sections/buffer.ts';
import { downlinks } from './sections/downlinks.ts';
import { kafka } from './sections/kafka.ts';
import { listeners } from './sections/listeners.ts';
import { deadLetter, routes } from './sections/routes.ts';
import { schemaRegistry } from './sections/schema-registry.ts';
import { forward, limits, log, shutdownTimeout } from './sections/service.ts';

export const schema = z.strictObject({
  listeners,
  buffer,
  kafka,
  schemaRegistry,
  routes,
  deadLetter,
  downlinks,
  auth,
  acl,
  limits,
  forward,
  log,
  shutdownTimeout,
});

/** What a file, or createSluice(), may hold. */
export type SluiceConfigInput = z.input<typeof schema>;
export type ParsedConfig = z.output<typeof schema>;
