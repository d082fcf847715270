import { byHand, findBackup } from '@pgsilo/engine';
import type { CatalogEntry, Manifest } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import { pinDocument, storedSize } from '../backup-document.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { formatAgo, formatBytes, formatDuration, formatTime } from '../terminal/format.ts';
import { printable, printableText } from '../terminal/printable.ts';
import { shellWord } from '../terminal/shell.ts';
import { renderTable } from '../terminal/table.ts';
import { labelsText } from './plan.ts';

export interface ShowOptions {
  readonly sink?: string;
}

interface Wanted {
  readonly file: string;
  readonly unit: string;
  readonly backup: string | undefined;
}

/** `pgsilo show`: one manifest, and how to restore it with pgsilo and without. */
export async function show(invocation: Invocation, wanted: Wanted, options: ShowOptions): Promise<number> {
  const { file, unit, backup } = wanted;
  return withPipeline(file, invocation, async (pipeline) => {
    const entry = await findBackup(pipeline, unit, {
      ...(backup === undefined ? {} : { backup }),
      ...(options.sink === undefined ? {} : { sink: options.sink }),
      passOver: true,
      signal: invocation.signal,
    });
    const commands = (await byHand(pipeline, entry.manifest)).map(redact);
    if (invocation.json) {
      const { manifest, sinks, missingFrom, pin } = entry;
      const held = pin ? { pin: pinDocument(pin) } : {};
      await invocation.out.json({ manifest, sinks, missingFrom, ...held, byHand: commands });
    } else {
      const restore = `pgsilo restore ${restoreWords(file, unit, entry.backup)}`;
      await invocation.out.write(backupText(entry, entry.manifest, invocation));
      await invocation.out.write(`\nRestore it into a new database:\n  ${restore}\n`);
      // Not indented: a here-document ends at a line that is its mark and nothing else.
      const text = commands.map(printableText).join('\n');
      await invocation.out.write(`\nWithout pgsilo:\n${text}\n`);
    }
    return 0;
  });
}

/** Quotes keep a name that begins with a dash from the shell, not from being an option: it stands behind `--`. */
function restoreWords(file: string, unit: string, backup: string): string {
  const names = `${shellWord(file)} ${shellWord(unit)}`;
  return [file, unit].some((name) => name.startsWith('-'))
    ? `--backup ${backup} -- ${names}`
    : `${names} --backup ${backup}`;
}

function backupText(entry: CatalogEntry, manifest: Manifest, { style, out, now }: Invocation): string {
  const good = manifest.status === 'good';
  const lacking = entry.missingFrom.map((sink) => style.red(`not in ${printable(sink)}`));
  const took = new Date(manifest.finishedAt).getTime() - new Date(manifest.startedAt).getTime();
  const { server, about } = manifest;
  const facts: [string, string][] = [
    ['holds', `the state of ${formatTime(manifest.snapshotAt)}, ${formatAgo(manifest.snapshotAt, now())}`],
    ['made', `${formatTime(manifest.startedAt)} in ${formatDuration(took)} by pgsilo ${manifest.pgsilo}`],
    ['run', `${manifest.run} of pipeline ${manifest.pipeline}`],
    ['source', `${manifest.source}, PostgreSQL ${server.version}, ${manifest.tool}`],
    ['system', server.systemIdentifier ?? ''],
    ['origin', inWords(manifest.unit.origin)],
    ['size', storedSize(manifest)],
    ['contents', inWords(about)],
    ['log position', manifest.lsn ?? ''],
    ['requires', manifest.requires.join(', ')],
    ['unit labels', labelsText(manifest.unit)],
    ['labels', labelsText(manifest)],
    ['sinks', [...entry.sinks.map(printable), ...lacking].join(', ')],
    ['pinned', entry.pin ? pinText(entry.pin) : ''],
  ];
  const lines = facts
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `  ${style.dim(name.padEnd(13))} ${printableText(value).replaceAll('\n', ' ')}`);
  const rows = manifest.artifacts.map((artifact) => [
    artifact.key,
    artifact.format,
    formatBytes(artifact.bytes),
    formatBytes(artifact.storedBytes),
    artifact.transforms.map(({ use }) => use).join(' → ') || 'none',
  ]);
  const status = good ? style.green(manifest.status) : style.red(manifest.status);
  const title = `${style.bold(printable(entry.unit))}  ${entry.backup}  ${status}`;
  return `${title}\n${lines.join('\n')}\n\n${renderTable(columns, rows, { style, width: out.width })}`;
}

function pinText({ reason, until, at }: NonNullable<CatalogEntry['pin']>): string {
  const end = until === undefined ? '' : ` until ${formatTime(until)}`;
  return `since ${formatTime(at)}${end}${reason === undefined ? '' : `: ${reason}`}`;
}

/** `tables 14, rows 2310442`. */
function inWords(record: Readonly<Record<string, unknown>>): string {
  return Object.entries(record)
    .map(([name, value]) => `${name} ${typeof value === 'string' ? printable(value) : JSON.stringify(value)}`)
    .join(', ');
}

const columns = [
  { title: 'object', wrap: 'anywhere' },
  { title: 'format' },
  { title: 'size', align: 'right' },
  { title: 'stored', align: 'right' },
  { title: 'transforms', wrap: 'words' },
] as const;
