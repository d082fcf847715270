import { isSafetyBackup, listBackups } from '@pgsilo/engine';
import type { CatalogEntry, UnseenSink } from '@pgsilo/engine';
import { abortReason, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import { backupDocument, storedSize, totalBytes } from '../backup-document.ts';
import { errorDocument, errorCell } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { jsonText } from '../output.ts';
import { reportError } from '../perform.ts';
import { formatAgo, formatBytes, formatCount, formatDuration, formatTime } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';
import { columnWidths, renderTable } from '../terminal/table.ts';
import type { Cell, Column } from '../terminal/table.ts';

export interface ListOptions {
  readonly sink?: string;
  readonly limit?: number;
}

/** Rows are written as they are read, so that a catalog of a million backups needs no more memory than one of ten. */
const pageSize = 200;
/** The catalog is what lies in the sinks: why something does not, it cannot know. */
const lackingMeans =
  '“not in …”: that sink never got the backup, or no longer has it, by its own retention for example; `pgsilo copy` fills what a sink lacks';

/** `pgsilo list`: backups, newest first. A manifest that cannot be read is listed with its error and makes it exit 1, and so does a sink that is not required and cannot be looked at. */
export async function list(
  invocation: Invocation,
  file: string,
  unit: string | undefined,
  options: ListOptions,
): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const { sink, limit = Infinity } = options;
    const signal = AbortSignal.any([invocation.signal, invocation.out.readerGone]);
    const unseen: UnseenSink[] = [];
    const entries = listBackups(pipeline, {
      ...(unit === undefined ? {} : { unit }),
      ...(sink === undefined ? {} : { sink }),
      unseen,
      signal,
    });
    const writer = invocation.json
      ? jsonWriter(pipeline.name, unseen, invocation)
      : tableWriter(unseen, invocation);
    let count = 0;
    let unreadable = 0;
    let lacking = false;
    try {
      for await (const entry of entries) {
        if (signal.aborted) throw abortReason(signal);
        await writer.add(entry);
        count += 1;
        if (entry.error) unreadable += 1;
        lacking ||= entry.missingFrom.length > 0;
        if (count >= limit) break;
      }
    } catch (thrown) {
      if (invocation.out.readerGone.aborted) return 0;
      const error = toPgsiloError(thrown);
      await writer.end(error);
      if (!writer.begun) throw error;
      await reportError(error, invocation);
      return error.exit;
    }
    if (count === 0 && unit !== undefined) throw unseen[0]?.error ?? noBackupOf(unit, pipeline.name, sink);
    await writer.end();
    const { screen, json, quiet, errorStyle } = invocation;
    if (!json && !quiet && count === 0 && unseen.length === 0)
      screen.print(`no backups of pipeline ${pipeline.name} yet`);
    if (!json && !quiet && lacking) screen.print(lackingMeans);
    if (!json)
      for (const each of unseen)
        screen.print(
          `${errorStyle.yellow('warning')}  what sink ${printable(each.sink)} holds is not in this list: ${printable(each.error.message)}`,
        );
    if (!json && unreadable > 0) {
      screen.print(
        `${errorStyle.red('error')}  ${formatCount(unreadable, 'manifest')} could not be read; the others are not affected`,
      );
    }
    return unreadable + unseen.length > 0 ? 1 : 0;
  });
}

function noBackupOf(unit: string, pipeline: string, sink: string | undefined): PgsiloError {
  const where = sink === undefined ? '' : ` in sink ${printable(sink)}`;
  const message = `pipeline ${pipeline} has no backup of unit ${JSON.stringify(unit)}${where}`;
  return new PgsiloError('catalog.not-found', message, {
    hint: '`pgsilo list FILE` shows the units that have one.',
  });
}

interface Writer {
  readonly begun: boolean;
  add(entry: CatalogEntry): Promise<void>;
  end(error?: PgsiloError): Promise<void>;
}

/** One document, written piece by piece. */
function jsonWriter(pipeline: string, unseen: readonly UnseenSink[], { out }: Invocation): Writer {
  let begun = false;
  return {
    get begun() {
      return begun;
    },
    async add(entry) {
      const text = jsonText(backupDocument(entry)).replaceAll('\n', '\n    ');
      await out.write(`${begun ? ',' : head(pipeline)}\n    ${text}`);
      begun = true;
    },
    async end(error) {
      if (!begun && error) return;
      if (!begun) await out.write(`${head(pipeline)}]`);
      else await out.write('\n  ]');
      const lost = unseen.map(({ sink, error: why }) => ({ sink, error: errorDocument(why) }));
      await out.write(`,\n  "unseen": ${JSON.stringify(lost)}`);
      const failure = error ? `,\n  "error": ${JSON.stringify(errorDocument(error))}` : '';
      await out.write(`${failure}\n}\n`);
    },
  };
}

function head(pipeline: string): string {
  return `{\n  "pipeline": ${JSON.stringify(pipeline)},\n  "backups": [`;
}

function tableWriter(unseen: readonly UnseenSink[], invocation: Invocation): Writer {
  const { out, style } = invocation;
  const narrow = out.width !== undefined && out.width < 110;
  const columns = narrow ? narrowColumns : wideColumns;
  let rows: Cell[][] = [];
  let least: number[] | undefined;
  const flush = async (): Promise<void> => {
    if (rows.length === 0) return;
    const look = { style, width: out.width, titles: least === undefined, ...(least ? { least } : {}) };
    const text = renderTable(columns, rows, look);
    least = columnWidths(columns, rows, least);
    rows = [];
    await out.write(text);
  };
  return {
    get begun() {
      return least !== undefined;
    },
    async add(entry) {
      rows.push(row(entry, unseen, narrow, invocation));
      if (rows.length >= pageSize) await flush();
    },
    end: flush,
  };
}

const wideColumns: readonly Column[] = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'backup' },
  { title: 'when' },
  { title: 'size → stored', align: 'right' },
  { title: 'status', wrap: 'words' },
  { title: 'sinks', wrap: 'words' },
  { title: 'restored', wrap: 'words' },
  { title: 'pinned', wrap: 'words' },
];
/** The backup's id begins with its time. */
const narrowColumns: readonly Column[] = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'backup' },
  { title: 'age' },
  { title: 'stored', align: 'right' },
  { title: 'status', wrap: 'words' },
  { title: 'sinks', wrap: 'words' },
];

function row(
  entry: CatalogEntry,
  unseen: readonly UnseenSink[],
  narrow: boolean,
  { style, now }: Invocation,
): Cell[] {
  const { manifest, error, pin, keysDestroyed, proved } = entry;
  const time = manifest?.snapshotAt;
  const ago = time === undefined ? '' : formatAgo(time, now());
  const lacking = [
    ...entry.missingFrom.map((sink) => `not in ${printable(sink)}`),
    ...unseen.map(({ sink }) => `${printable(sink)} not looked at`),
  ];
  const sinks = [...entry.sinks.map(printable), ...lacking].join(', ');
  const status = error
    ? errorCell(error)
    : keysDestroyed
      ? `keys destroyed ${formatTime(keysDestroyed.at)}`
      : manifest && isSafetyBackup(manifest)
        ? `${manifest.status}, before a restore`
        : (manifest?.status ?? 'unreadable');
  const colouredStatus = (text: string): Cell =>
    status.startsWith('good') && proved?.result !== 'failed' ? text : { text, colour: style.red };
  const colouredSinks: Cell = lacking.length === 0 ? sinks : { text: sinks, colour: style.yellow };
  const name = printable(entry.unit);
  if (narrow) {
    const stored = manifest ? formatBytes(totalBytes(manifest, 'storedBytes')) : '';
    const words = [status, ...(proved ? [proved.result === 'ok' ? 'restored' : 'restore failed'] : [])];
    const held = [...words, ...(pin ? ['pinned'] : [])].join(', ');
    return [name, entry.backup, ago, stored, colouredStatus(held), colouredSinks];
  }
  const when = time === undefined ? '' : `${formatTime(time)}  ${ago}`;
  const pinned = pin ? (pin.until === undefined ? 'yes' : `until ${formatTime(pin.until)}`) : '';
  const size = storedSize(manifest);
  const tried: Cell =
    proved?.result === 'failed'
      ? { text: provedText(proved, now()), colour: style.red }
      : provedText(proved, now());
  return [name, entry.backup, when, size, colouredStatus(status), colouredSinks, tried, pinned];
}

/** When a copy was last restored to prove it, and how long that took. */
function provedText(proved: CatalogEntry['proved'], now: Date): string {
  if (!proved) return '';
  const ago = formatAgo(proved.at, now);
  if (proved.result === 'failed') return `failed ${ago} (${proved.code ?? 'no code'})`;
  return proved.seconds === undefined ? ago : `${ago}, in ${formatDuration(proved.seconds * 1000)}`;
}
