/**
 * A file whose content is in use, read again when it changes. Polling, since a mounted secret changes by a swapped link, which
 * watchers miss. One that cannot be used any more is reported once, and the old content stays.
 */
import { open, stat } from 'node:fs/promises';
import { errorText, SluiceError } from '../errors.ts';

export interface WatchedFileOptions<Content> {
  readonly file: string;
  readonly maxBytes: number;
  /** Throws: what is wrong with it. */
  readonly parse: (bytes: Buffer, file: string) => Content;
  readonly changed: (content: Content) => void;
  readonly fault: (error: unknown) => void;
  /** How often it is looked at. Default 2 s. */
  readonly pollMs?: number;
}

export class WatchedFile<Content> {
  readonly #options: WatchedFileOptions<Content>;
  readonly #timer: NodeJS.Timeout;
  #content: Content;
  #mark: string;
  #looking: Promise<void> | undefined;

  /** @throws SluiceError AUTH_FILE */
  static async open<Content>(options: WatchedFileOptions<Content>): Promise<WatchedFile<Content>> {
    // Before the content: a change in between is found at the next look.
    const mark = await markOf(options.file);
    return new WatchedFile(options, await read(options), mark);
  }

  private constructor(options: WatchedFileOptions<Content>, content: Content, mark: string) {
    this.#options = options;
    this.#content = content;
    this.#mark = mark;
    this.#timer = setInterval(() => void this.look(), options.pollMs ?? 2_000);
    this.#timer.unref();
  }

  get content(): Content {
    return this.#content;
  }

  /** Reads it again if it has changed since the last look. */
  look(): Promise<void> {
    return (this.#looking ??= this.#look().finally(() => (this.#looking = undefined)));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const mark = await markOf(this.#options.file);
    if (mark === this.#mark) return;
    this.#mark = mark;
    try {
      this.#content = await read(this.#options);
    } catch (error) {
      this.#options.fault(error);
      return;
    }
    this.#options.changed(this.#content);
  }
}

async function read<Content>({ file, maxBytes, parse }: WatchedFileOptions<Content>): Promise<Content> {
  return parse(await readBounded(file, maxBytes), file);
}

/** @throws SluiceError AUTH_FILE */
export async function readBounded(file: string, maxBytes: number): Promise<Buffer> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new SluiceError('AUTH_FILE', `cannot read ${file}: ${errorText(cause)}`, { cause });
  }
}

async function markOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return errorText(error);
  }
}
