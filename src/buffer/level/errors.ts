import { errorText, SluiceError } from '../../errors.ts';

/** What the system said, in the texts that LevelDB passes on: the disk cannot be written, and may be again later. */
const UNWRITABLE =
  /No space left|Disk quota exceeded|Read-only file system|Permission denied|Operation not permitted|Input\/output error|File too large|EIO|ENOSPC|EROFS|EACCES|EPERM|EDQUOT/i;

function codes(error: unknown): string[] {
  const found: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) found.push((at as { code?: string }).code ?? '');
  return found;
}

function texts(error: unknown): string {
  const found: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) found.push(errorText(at));
  return found.join(': ');
}

/** The directory could not be opened as a database. */
export function openError(directory: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = texts(error);
  if (codes(error).includes('LEVEL_LOCKED')) {
    return new SluiceError('STORE_LOCKED', `the buffer directory ${directory} is held by another process`, {
      cause: error,
    });
  }
  if (UNWRITABLE.test(text)) {
    return new SluiceError('STORE_READ_ONLY', `the buffer directory ${directory} cannot be written: ${text}`, {
      cause: error,
    });
  }
  if (codes(error).includes('LEVEL_CORRUPTION')) {
    return new SluiceError('STORE_REFUSED', `the files of the buffer in ${directory} are damaged: ${text}`, {
      cause: error,
      hint: 'Keep a copy of the directory, then restore it from a backup, or move it away to start afresh.',
    });
  }
  return new SluiceError('STORE_UNAVAILABLE', `the buffer directory ${directory} cannot be opened: ${text}`, {
    cause: error,
  });
}

/** A write failed: it may be found in the log nevertheless, once the database was opened again. */
export function writeError(error: unknown): SluiceError {
  return new SluiceError(
    'STORE_UNAVAILABLE',
    `the embedded buffer failed to write, and whether it did is unknown: ${texts(error)}`,
    { cause: error, hint: 'Check the disk: free space, permissions, the kernel log. It is opened again by itself.' },
  );
}

/** A write was not attempted, because an earlier one failed and the database is not open again yet. */
export function readOnlyError(broken: SluiceError): SluiceError {
  return new SluiceError('STORE_READ_ONLY', `the embedded buffer cannot be written: ${texts(broken.cause ?? broken)}`, {
    cause: broken,
  });
}

export function readError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError('STORE_UNAVAILABLE', `the embedded buffer cannot be read: ${texts(error)}`, { cause: error });
}
