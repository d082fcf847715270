import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Screen } from '../src/terminal/screen.ts';

class Terminal extends Writable {
  readonly isTTY = true;
  readonly columns = 80;
  readonly rows = 24;
  writes: string[] = [];
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk.toString());
    done();
  }
}

describe('the live region', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('redraws at most ten times a second, however many lines finish', async () => {
    const terminal = new Terminal();
    const screen = new Screen(terminal);
    let count = 0;
    await screen.show(() => [`at ${(count += 1)}`]);
    terminal.writes = [];
    for (let line = 0; line < 1000; line += 1) screen.print(`unit ${line}`);
    await vi.advanceTimersByTimeAsync(1000);
    screen.stop();
    expect(count).toBeLessThanOrEqual(11);
    expect(count).toBeGreaterThan(5);
    const text = terminal.writes.join('');
    expect(text.match(/^unit \d+$/gm)).toHaveLength(999);
    expect(terminal.writes.length).toBeLessThan(30);
  });

  it('prints what is left and shows the cursor when it stops', async () => {
    const terminal = new Terminal();
    const screen = new Screen(terminal);
    await screen.show(() => ['working']);
    screen.print('the last unit');
    screen.stop();
    screen.print('after');
    expect(terminal.writes.join('')).toContain('the last unit');
    expect(terminal.writes.at(-1)).toBe('after\n');
  });
});
