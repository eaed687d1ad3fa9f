import { isSluiceError, type SluiceError } from '../errors.ts';

/** What the process says when it ends. docs/cli.md lists the same. */
export const ExitCode = {
  ok: 0,
  /** A fault of sluice itself. */
  internal: 1,
  /** Wrong words on the command line, or a configuration that does not validate. */
  usage: 2,
  /** The buffer cannot be opened: store unreachable, locked, of another format, or not durable enough. */
  store: 3,
  /** A listener cannot bind or load its certificate. */
  listener: 4,
  /** No running sluice answers on the admin socket. */
  unreachable: 5,
  /** `sluice check --connect` or `sluice doctor` found something that does not work. */
  checkFailed: 6,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export function exitCodeOf(error: unknown): ExitCode {
  if (!isSluiceError(error)) return ExitCode.internal;
  return ofCode(error);
}

function ofCode(error: SluiceError): ExitCode {
  switch (error.code) {
    case 'CONFIG_INVALID':
    case 'CONFIG_UNREADABLE':
    case 'INSECURE_LISTENER':
    case 'AUTH_FILE':
      return ExitCode.usage;
    case 'STORE_UNAVAILABLE':
    case 'STORE_OFFLINE':
    case 'STORE_REFUSED':
    case 'STORE_TIMEOUT':
    case 'STORE_READ_ONLY':
    case 'STORE_LOCKED':
    case 'STORE_FORMAT':
    case 'SHARD_COUNT_MISMATCH':
      return ExitCode.store;
    case 'LISTENER_FAILED':
      return ExitCode.listener;
    case 'ADMIN_UNREACHABLE':
      return ExitCode.unreachable;
    default:
      return ExitCode.internal;
  }
}
