import type { WalBehind, WalGap, WalSinkStatus, WalStatus, WalWindow } from '@pgsilo/engine';
import type { ArchiverState } from '@pgsilo/plugin';
import { errorCell, errorDocument } from './error-text.ts';
import type { Invocation } from './invocation.ts';
import { formatBytes, formatCount, formatDuration, formatTime } from './terminal/format.ts';
import { printable } from './terminal/printable.ts';
import type { Style } from './terminal/style.ts';

/** For `--json`. Durations are in seconds. */
export function walStatusDocument(pipeline: string, status: WalStatus): object {
  const { server, behind, sinks, ...rest } = status;
  return {
    pipeline,
    ...rest,
    ...('state' in server ? { server: serverDocument(server.state as ArchiverState, behind) } : {}),
    ...('error' in server ? { server: { error: errorDocument(server.error!) } } : {}),
    sinks: sinks.map(({ error, ...sink }) => ({
      ...sink,
      ...(error ? { error: errorDocument(error) } : {}),
    })),
  };
}

function serverDocument(state: ArchiverState, behind: WalBehind | undefined): object {
  const { segmentBytes: _, segment: _number, written: _bytes, waiting, disk, ...rest } = state;
  const { oldestWaiting, full, ...distance } = behind ?? {};
  return {
    ...rest,
    ...(waiting ? { waiting: waiting.files } : {}),
    ...(oldestWaiting === undefined ? {} : { oldestWaitingSeconds: Math.round(oldestWaiting / 1000) }),
    behind: distance,
    ...(disk ? { freeBytes: disk.free } : {}),
    ...(full === undefined ? {} : { fullInSeconds: Math.round(full / 1000) }),
  };
}

export function walStatusText(status: WalStatus, { style }: Invocation): string {
  const lines = status.sinks.flatMap((sink) => [
    style.bold(printable(sink.sink)),
    ...sinkLines(sink, style).map((line) => `  ${line}`),
  ]);
  if (status.unreadableBackups > 0) {
    const count = formatCount(status.unreadableBackups, 'backup');
    lines.push(style.yellow(`what ${count} with unreadable manifests need is not known`));
  }
  lines.push(style.bold('server'), ...serverLines(status, style).map((line) => `  ${line}`));
  return `${lines.join('\n')}\n`;
}

function sinkLines({ timelines, windows, conflicts, unread, error }: WalSinkStatus, style: Style): string[] {
  if (error) return [style.red(errorCell(error))];
  const lines = timelines.flatMap(({ timeline, first, last, segments, bytes, missing, gaps }) => {
    const named = gaps.reduce((sum, gap) => sum + gap.segments, 0);
    return [
      `timeline ${timeline}: ${first} to ${last}, ${formatCount(segments, 'segment')} (${formatBytes(bytes)})`,
      ...gaps.map((gap) => style.yellow(`missing: ${gapText(gap)}`)),
      ...(missing > named ? [style.yellow(`and ${formatCount(missing - named, 'other segment')}`)] : []),
    ];
  });
  return [
    ...(timelines.length === 0 ? ['no segments'] : lines),
    ...conflicts.map((name) => style.red(`${name} lies there with two contents: recovery stops at it`)),
    ...unread.map((name) => style.yellow(`${name} cannot be read here: later timelines are not followed`)),
    ...groups(windows).map((group) => windowText(group, style)),
    ...(windows.length === 0 ? ['no base backup that can be restored'] : []),
  ];
}

/** Of the windows with one end the widest says it all. Each group is newest first. */
function groups(windows: readonly WalWindow[]): WalWindow[][] {
  const key = ({ last, gap, unknown }: WalWindow): string => JSON.stringify([last, gap?.first, unknown]);
  return [...Map.groupBy(windows, key).values()];
}

function windowText(group: readonly WalWindow[], style: Style): string {
  const { from, last, until, gap, unknown, backup } = group.at(-1)!;
  const backups =
    group.length === 1 ? `backup ${backup}` : `${formatCount(group.length, 'backup')}, the oldest ${backup}`;
  if (unknown) return style.yellow(`${backups}: does not say where it ends in the log`);
  const end =
    last === undefined
      ? group.length === 1
        ? `${formatTime(from)} alone: no log behind it`
        : `${formatTime(from)} and the ends of the others alone: no log behind them`
      : `${formatTime(from)} to the end of ${last}${until ? `, stored ${formatTime(until)}` : ''}`;
  const text = `can be restored to: ${end} (${backups})`;
  if (!gap) return text;
  const lacking = `${text}; then ${gapText(gap)} ${gap.segments === 1 ? 'is' : 'are'} missing`;
  return gap.elsewhere ? style.yellow(`${lacking}, which other sinks have`) : style.red(lacking);
}

function gapText({ first, last, segments }: WalGap): string {
  return segments === 1 ? first : `${first} to ${last} (${formatCount(segments, 'segment')})`;
}

function serverLines({ server, behind }: WalStatus, style: Style): string[] {
  if ('error' in server) return [style.yellow(errorCell(server.error!))];
  if (!('state' in server)) return ['nothing is known of it'];
  const state = server.state as ArchiverState;
  const { mode, configured, standby, lastArchived, lastFailed, failing, failures, waiting } = state;
  const active = mode === 'always' || (mode === 'on' && !standby);
  const lines = [
    active
      ? configured
        ? `archives${lastArchived ? `; last ${printable(lastArchived.name)} at ${formatTime(lastArchived.at)}` : '; nothing was archived yet'}`
        : style.yellow('archive_mode is on, and there is no archive_command: the log waits')
      : style.yellow(`does not archive: archive_mode is ${mode}${standby ? ' on a standby' : ''}`),
  ];
  if (behind?.segments !== undefined)
    lines.push(
      `behind ${behind.newest} by ${formatCount(behind.segments, 'whole segment')}, ${formatBytes(behind.bytes!)} in all`,
    );
  if (waiting)
    lines.push(
      `${formatCount(waiting.files, 'file')} waiting${behind?.oldestWaiting === undefined ? '' : `, the oldest for ${formatDuration(behind.oldestWaiting)}`}`,
    );
  else lines.push('what waits is not known: the role needs pg_monitor');
  if (failing)
    lines.push(
      style.red(
        `archiving fails: ${printable(lastFailed!.name)} at ${formatTime(lastFailed!.at)}, ${formatCount(failures, 'failure')}`,
      ),
    );
  else if (lastFailed)
    lines.push(`last failure: ${printable(lastFailed.name)} at ${formatTime(lastFailed.at)}`);
  if (failing || (active && !configured))
    lines.push(
      behind?.full === undefined
        ? `when the disk of pg_wal will be full is not known${state.disk ? `; ${formatBytes(state.disk.free)} are free` : ': the server is on another host, or its folder may not be looked at'}`
        : style.red(
            `the disk of pg_wal is full in about ${formatDuration(behind.full)}, at the pace since the oldest one waits`,
          ),
    );
  return lines;
}
