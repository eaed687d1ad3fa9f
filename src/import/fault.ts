import { SluiceError } from '../errors.ts';

/** A file that is not what it is said to be. */
export function importFault(what: string, why: string): SluiceError {
  return new SluiceError('CONFIG_UNREADABLE', `${what}: ${why}`, {
    hint: 'docs/migration.md says which files can be imported',
  });
}
