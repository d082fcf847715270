import type { JobProgress, RunEvent } from '@pgsilo/engine';
import {
  fitWidth,
  formatBytes,
  formatCount,
  formatNumber,
  formatDuration,
  formatElapsed,
  formatRate,
} from './format.ts';
import { printable } from './printable.ts';
import { Rate } from './rate.ts';
import type { Style } from './style.ts';

/** What is known of a run while it goes on, and how it is drawn. Knows no terminal and no clock. */
export class RunProgress {
  readonly #startedAt: number;
  readonly #running = new Map<JobProgress, Rate>();
  readonly #total: Rate;
  #units: number | undefined;
  #done = 0;
  #failed = 0;
  #bytesDone = 0;
  #estimated = 0;
  #estimatedDone = 0;

  constructor(now: number) {
    this.#startedAt = now;
    this.#total = new Rate(0, now);
  }

  apply(event: RunEvent, now: number): void {
    if (event.type === 'planned') {
      this.#units = event.units;
      this.#failed += event.missing.length;
      this.#estimated = event.estimatedBytes;
    }
    if (event.type === 'job-started') this.#running.set(event.job, new Rate(event.job.bytes, now));
    if (event.type === 'job-retry') this.#running.delete(event.job);
    if (event.type !== 'job-finished') return;
    this.#running.delete(event.job);
    this.#estimatedDone += event.job.estimatedBytes ?? 0;
    for (const unit of event.units) {
      if (unit.status === 'failed') this.#failed += 1;
      else this.#done += 1;
      this.#bytesDone += unit.bytes;
    }
  }

  /** One line that says how far the run is, for logs. */
  summary(now: number): string {
    const parts = [this.#counts(), formatBytes(this.#bytes()), formatDuration(now - this.#startedAt)];
    const names = [...this.#running.keys()].map((job) => jobName(job));
    const shown = names.slice(0, 4).join(', ') + (names.length > 4 ? ` and ${names.length - 4} more` : '');
    return parts.join(', ') + (shown === '' ? '' : `; running: ${shown}`);
  }

  /** A line for each running job and one for the whole; none is wider than `columns`, and not more than fit into `rows`. */
  draw(size: { readonly columns: number; readonly rows: number }, now: number, style: Style): string[] {
    if (this.#units === undefined) {
      const waiting = `looking for what is to be backed up  ${formatElapsed(now - this.#startedAt)}`;
      return [style.dim(fitWidth(waiting, size.columns))];
    }
    const room = Math.max(1, size.rows - 4);
    const jobs = [...this.#running];
    const lines = jobs
      .slice(0, jobs.length > room ? room - 1 : room)
      .map(([job, rate]) => jobLine(job, rate.look(job.bytes, now), now, size.columns, style));
    if (lines.length < jobs.length) lines.push(style.dim(`  and ${jobs.length - lines.length} more`));
    return [...lines, this.#totalLine(now, size.columns, style)];
  }

  #totalLine(now: number, columns: number, style: Style): string {
    const elapsed = now - this.#startedAt;
    const bytes = this.#bytes();
    const parts = [this.#counts(), formatBytes(bytes), formatRate(this.#total.look(bytes, now))];
    parts.push(formatElapsed(elapsed));
    const left = this.#left(elapsed);
    if (left !== undefined) parts.push(`about ${formatDuration(left)} left`);
    const text = fitWidth(parts.join(' · '), columns);
    return this.#failed > 0 ? style.yellow(text) : style.bold(text);
  }

  #counts(): string {
    const known = this.#units === undefined ? '' : ` of ${formatNumber(this.#units)}`;
    const units = `${formatNumber(this.#done + this.#failed)}${known} units`;
    return this.#failed > 0 ? `${units}, ${this.#failed} failed` : units;
  }

  #bytes(): number {
    let bytes = this.#bytesDone;
    for (const job of this.#running.keys()) bytes += job.bytes;
    return bytes;
  }

  /** By the estimated bytes, and only when enough of them are done to say anything. */
  #left(elapsed: number): number | undefined {
    let done = this.#estimatedDone;
    for (const job of this.#running.keys()) done += Math.min(job.bytes, job.estimatedBytes ?? 0);
    const share = this.#estimated === 0 ? 0 : done / this.#estimated;
    return share < 0.05 || share >= 1 || elapsed < 5000 ? undefined : (elapsed / share) * (1 - share);
  }
}

/** A job by its units: `acme`, `acme and 37 more`. */
export function jobName(job: JobProgress): string {
  const [first = job.id, ...others] = job.units;
  return others.length === 0 ? printable(first) : `${printable(first)} and ${others.length} more`;
}

const barWidth = 20;

/** Columns that the name of a unit gets on a terminal of this width. */
export function nameWidth(columns: number): number {
  return columns >= 96 ? 32 : 22;
}

function jobLine(job: JobProgress, rate: number, now: number, columns: number, style: Style): string {
  const wide = columns >= 96;
  const name = fitWidth(jobName(job), nameWidth(columns), true);
  const estimate = job.estimatedBytes;
  const read = formatBytes(job.bytes).padStart(7);
  // An estimate that was passed was wrong, and says nothing more.
  const known = estimate !== undefined && estimate > 0 && job.bytes <= estimate;
  const size = known ? `${read} of ${formatBytes(estimate)}` : read;
  const bar = wide ? `${style.cyan(known ? barOf(job.bytes / estimate) : ' '.repeat(barWidth))}  ` : '';
  const elapsed = formatElapsed(now - job.startedAt.getTime()).padStart(7);
  const tail = fitWidth(
    `${size.padEnd(18)}  ${formatRate(rate).padStart(9)}  ${elapsed}`,
    Math.max(0, columns - 28),
  );
  return `  ${style.cyan('▸')} ${name}  ${bar}${tail}`;
}

function barOf(share: number): string {
  const full = Math.round(Math.min(1, share) * barWidth);
  return '━'.repeat(full) + '╌'.repeat(barWidth - full);
}

/** The line that stays of a finished unit. */
export function unitText(unit: Extract<RunEvent, { type: 'job-finished' }>['units'][number]): string {
  const size = `${formatBytes(unit.bytes)} → ${formatBytes(unit.storedBytes)} in ${formatDuration(unit.seconds * 1000)}`;
  const lacking = unit.sinks
    .filter((sink) => sink.status === 'failed' || sink.status === 'skipped')
    .map((sink) => printable(sink.sink));
  const missing = lacking.length === 0 ? '' : `, not in ${lacking.join(', ')}`;
  if (unit.status === 'damaged') return `damaged: ${size}${missing}`;
  if (unit.status === 'good') return `${size}${missing}`;
  const tries = unit.attempts > 1 ? ` after ${formatCount(unit.attempts, 'attempt')}` : '';
  return `failed${tries}: ${unit.error?.message ?? 'no reason was given'}`;
}
