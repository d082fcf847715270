import stringWidth from 'fast-string-width';
import { graphemesOf } from './graphemes.ts';

const sizes = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Bytes for people, decimal as in pipeline files: `0 B`, `1.2 MB`, `340 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let step = 0;
  // 999.5 would be rounded to 1000 of the smaller unit.
  while (value >= 999.5 && step < sizes.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${sizes[step]}`;
}

/** Milliseconds for people, two units at most: `350 ms`, `2.1 s`, `1 min 23 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  if (seconds < 3599.5) return pair(Math.round(seconds), 60, 'min', 's');
  if (seconds < 86_370) return pair(Math.round(seconds / 60), 60, 'h', 'min');
  return pair(Math.round(seconds / 3600), 24, 'd', 'h');
}

function pair(total: number, base: number, large: string, small: string): string {
  const rest = total % base;
  return `${Math.floor(total / base)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`;
}

/** Elapsed time in a fixed form that does not jump about while it is drawn: `0:07`, `12:40`, `1:02:03`. */
export function formatElapsed(milliseconds: number): string {
  const all = Math.max(0, Math.floor(milliseconds / 1000));
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** `2026-11-21T02:00:00Z`: the form that `--before` takes. */
export function formatTime(time: Date | string): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** How long ago: `just now`, `3 h ago`; `in 2 d` for what lies ahead. */
export function formatAgo(time: Date | string, now: Date): string {
  const distance = now.getTime() - new Date(time).getTime();
  const seconds = Math.abs(distance) / 1000;
  if (seconds < 10) return 'just now';
  const text = largestUnit(seconds);
  return distance > 0 ? `${text} ago` : `in ${text}`;
}

function largestUnit(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** `1 unit`, `1,204 units`. */
export function formatCount(count: number, noun: string, many = `${noun}s`): string {
  return `${formatNumber(count)} ${count === 1 ? noun : many}`;
}

/** A whole number: `1,204`. The system's own way to do it takes 10 ms when it is first used. */
export function formatNumber(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** Bytes per second: `74 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** Plain text cut to a number of terminal columns, with `…` where something was cut, and padded to it when `pad` is set. */
export function fitWidth(text: string, width: number, pad = false): string {
  const fitted = stringWidth(text) <= width ? text : cut(text, width);
  return pad ? fitted + ' '.repeat(Math.max(0, width - stringWidth(fitted))) : fitted;
}

function cut(text: string, width: number): string {
  if (width < 1) return '';
  let kept = '';
  let used = 0;
  for (const segment of graphemesOf(text)) {
    used += stringWidth(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}
