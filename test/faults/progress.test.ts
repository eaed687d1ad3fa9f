import { describe, expect, it } from 'vitest';
import { Progress } from './progress.ts';

function screen(isTTY: boolean): { text: string; write(text: string): void; isTTY: boolean; columns: number } {
  return {
    text: '',
    isTTY,
    columns: 80,
    write(text) {
      this.text += text;
    },
  };
}

const counts = { acknowledged: 10, attempted: 12, connected: 4 };

describe('the progress of a campaign', () => {
  it('is a line per event where nobody watches', () => {
    const out = screen(false);
    const watcher = new Progress(out).watch('kill all', '1/2');
    watcher.event('kill sluice');
    watcher.state('kill sluice', counts);
    expect(out.text).toBe('  0:00 1/2 kill all: kill sluice\n');
  });

  it('is one line on a terminal, written anew at most once a second, with counts', () => {
    const out = screen(true);
    const watcher = new Progress(out).watch('kill all', '1/2');
    watcher.state('kill sluice', counts);
    watcher.state('kill sluice', counts);
    expect(out.text).toBe('\r\u001b[K  0:00 1/2 kill all: kill sluice | 10 acknowledged of 12, 4 connected');
  });

  it('keeps what is wrong on the screen', () => {
    const out = screen(true);
    new Progress(out).watch('kill all', '1/2').event('WRONG: 1 lost');
    expect(out.text).toBe('\r\u001b[K  0:00 1/2 kill all: WRONG: 1 lost\n');
  });
});
