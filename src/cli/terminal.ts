import { errorText, isSluiceError } from '../errors.ts';
import { ConfigError, renderProblems } from '../config/problems.ts';

/** Colour only where a person looks, and NO_COLOR is not set (https://no-color.org). */
export function wantsColor(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
}

/** What went wrong and what to do about it, on standard error. */
export function printError(error: unknown): void {
  if (error instanceof ConfigError) {
    process.stderr.write(`${renderProblems(error.problems, { color: wantsColor(process.stderr) })}\n`);
  } else if (isSluiceError(error)) {
    process.stderr.write(`sluice: ${error.message}\n  -> ${error.hint}\n`);
  } else {
    process.stderr.write(
      `sluice: ${error instanceof Error && error.stack !== undefined ? error.stack : errorText(error)}\n`,
    );
  }
}

/** 12.3 MB: for eyes, not for parsing. */
export function approximateSize(bytes: number): string {
  let size = bytes;
  for (const unit of ['B', 'KB', 'MB', 'GB']) {
    if (size < 1024) return `${unit === 'B' ? size : size.toFixed(1)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} TB`;
}
