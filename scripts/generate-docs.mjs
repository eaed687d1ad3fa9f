// Writes what docs/ says of the configuration, from the built schema. A test fails when the files are stale.
import { writeFileSync } from 'node:fs';
import { configJsonSchemaText, configReference } from '../dist/config/reference.js';

const docs = new URL('../docs/', import.meta.url);
writeFileSync(new URL('configuration.md', docs), configReference());
writeFileSync(new URL('sluice.schema.json', docs), configJsonSchemaText());
console.log('docs/configuration.md and docs/sluice.schema.json are written');
