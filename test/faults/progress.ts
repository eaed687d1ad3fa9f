/** What a campaign shows: on a terminal one line that is written anew each second, elsewhere a line per event. */
import type { Result, Watcher } from './run.ts';

const SHOW_MS = 1_000;

export interface Screen {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export class Progress {
  readonly #screen: Screen;
  readonly #live: boolean;
  readonly #began = performance.now();
  #shownAt = -Infinity;

  constructor(screen: Screen) {
    this.#screen = screen;
    this.#live = screen.isTTY === true;
  }

  line(text: string): void {
    this.#clear();
    this.#screen.write(`${text}\n`);
  }

  watch(name: string, place: string): Watcher {
    let event = '';
    return {
      event: (text) => {
        event = text;
        if (!this.#live || text.startsWith('WRONG')) this.line(`${this.#time()} ${place} ${name}: ${text}`);
        else this.#show(`${place} ${name}: ${text}`);
      },
      state: (doing, { acknowledged, attempted, connected }) => {
        if (!this.#live || performance.now() - this.#shownAt < SHOW_MS) return;
        const counts = `${acknowledged} acknowledged of ${attempted}, ${connected} connected`;
        this.#show(`${place} ${name}: ${doing === '' ? event : doing} | ${counts}`);
      },
    };
  }

  verdict(result: Result): void {
    const word = result.ok ? 'ok  ' : 'FAIL';
    const size = result.scale < 1 ? ` at ${Math.round(result.scale * 100)} %` : '';
    const said = result.judgement?.summary ?? 'not judged';
    this.line(`${word} ${result.name}${size} (${result.seconds} s): ${said}`);
    for (const [name, value] of Object.entries(result.measures)) this.line(`     ${name}: ${value}`);
    for (const complaint of result.complaints) this.line(`     WRONG: ${complaint}`);
    for (const file of result.logFiles) this.line(`     log of sluice: ${file}`);
  }

  #time(): string {
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    return `${String(Math.floor(seconds / 60)).padStart(3)}:${String(seconds % 60).padStart(2, '0')}`;
  }

  #show(text: string): void {
    this.#shownAt = performance.now();
    this.#clear();
    this.#screen.write(`${this.#time()} ${text}`.slice(0, (this.#screen.columns ?? 80) - 1));
  }

  #clear(): void {
    if (this.#live) this.#screen.write('\r\u001b[K');
  }
}
