/** What the sections of the page share. */
import type { Overview } from '../src/http/overview.ts';
import type { History, Now } from './history.ts';

/** What is known at one moment. */
export interface Moment {
  readonly overview: Overview;
  readonly now: Now;
  readonly history: History;
}

export interface View {
  readonly node: HTMLElement;
  /** Every half second, while it is shown. */
  update?(moment: Moment): void;
  /** It is shown from now on. */
  opened?(): void;
  repaint?(): void;
}

/** What a button does, told beside it: it is disabled meanwhile. */
export async function act(button: HTMLButtonElement, says: HTMLElement, work: () => Promise<string>): Promise<void> {
  button.disabled = true;
  says.textContent = '…';
  says.className = 'says';
  try {
    says.textContent = await work();
    says.classList.add('ok');
  } catch (error) {
    says.textContent = error instanceof Error ? error.message : String(error);
    says.classList.add('critical');
  }
  button.disabled = false;
}
