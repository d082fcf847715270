import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sink } from '@pgsilo/plugin';
import { backupFolder, encodeUnit, noteKey, runBeginKey, runSummaryKey, timeStamp } from '../../src/keys.ts';
import { writeManifest } from '../../src/manifest.ts';
import type { Manifest } from '../../src/manifest.ts';
import { writeNote } from '../../src/notes.ts';
import type { Note } from '../../src/notes.ts';
import type { Pipeline } from '../../src/pipeline.ts';
import type { Retention } from '../../src/retention/policy.ts';
import { writeRunBegin, writeRunReport } from '../../src/run-records.ts';
import { fakePipeline, fakeSource } from '../fakes.ts';
import type { LoggedSink } from '../memory-sink.ts';

/** The lock of a prune lies there: other files of tests, and other checkouts, prune a pipeline of that name at the same time. */
const ownScratch = mkdtempSync(join(tmpdir(), 'pgsilo-prune-'));
process.on('exit', () => rmSync(ownScratch, { recursive: true, force: true }));

export const pipelineName = 'vigia';
/** When all tests here take place. */
export const now: Date = new Date('2026-11-21T12:00:00Z');

export function idOf(moment: string): string {
  return `${timeStamp(new Date(moment))}-000000`;
}

/** Puts a whole backup of a moment into the sinks, as a run writes it. @returns its id. */
export function storeBackup(
  sinks: LoggedSink | readonly LoggedSink[],
  unit: string,
  moment: string,
  given: Partial<Pick<Manifest, 'status' | 'requires' | 'about'>> & {
    readonly labels?: Record<string, string>;
  } = {},
): string {
  const { labels = {}, ...rest } = given;
  const backup = idOf(moment);
  const time = new Date(moment).toISOString();
  const digest = '0'.repeat(64);
  const names = ['database.dump', 'settings.json'];
  const sizes = { bytes: 4, sha256: digest, storedBytes: 4, storedSha256: digest };
  const manifest = writeManifest({
    format: 1,
    pipeline: pipelineName,
    unit: { name: unit, labels, origin: { database: unit } },
    backup,
    run: backup,
    labels: {},
    startedAt: time,
    finishedAt: time,
    snapshotAt: time,
    pgsilo: '0.1.0',
    source: 'fake',
    server: { version: '15.18' },
    tool: 'pg_dump 15.18',
    status: 'good',
    requires: [],
    about: {},
    artifacts: names.map((key) => ({ name: key, key, format: 'json', ...sizes, transforms: [] })),
    ...rest,
  });
  const folder = backupFolder(pipelineName, encodeUnit(unit), backup);
  for (const sink of [sinks].flat() as readonly LoggedSink[]) {
    for (const name of ['database.dump', 'settings.json'])
      sink.objects.set(folder + name, Buffer.from('data'));
    sink.objects.set(`${folder}manifest.json`, manifest);
  }
  return backup;
}

export function storeNote(sink: LoggedSink, note: Omit<Note, 'at'>, at = '2026-11-21T10:00:00.000Z'): string {
  const stamp = `${timeStamp(new Date(at)).slice(0, -1)}.000Z`;
  const key = noteKey(pipelineName, note.unit, note.backup, stamp, note.kind);
  sink.objects.set(key, writeNote({ at, ...note }));
  return key;
}

/** The record of a run that ended, over these units. */
export function storeReport(
  sink: LoggedSink,
  moment: string,
  units: readonly string[],
  selected = false,
): string {
  const run = idOf(moment);
  const startedAt = new Date(moment).toISOString();
  const line = { status: 'good', attempts: 1, bytes: 4, storedBytes: 4, seconds: 0, sinks: [] } as const;
  const key = runSummaryKey(pipelineName, run);
  const times = { startedAt, finishedAt: startedAt };
  const about = { run, pipeline: pipelineName, ...times, selected, retries: 0, warnings: [] };
  const lines = units.map((unit) => ({ unit, ...line }));
  sink.objects.set(key, Buffer.from(writeRunReport({ ...about, status: 'ok', units: lines })));
  return key;
}

/** The marker of a run on some other machine. */
export function storeMarker(sink: LoggedSink, moment: string, units: readonly string[]): string {
  const run = idOf(moment);
  const process = { host: 'db1', pid: 1, identity: '0123456789abcdef-1-1' };
  const startedAt = new Date(moment).toISOString();
  const marker = writeRunBegin({ run, pipeline: pipelineName, startedAt, process, units: [...units] });
  sink.objects.set(runBeginKey(pipelineName, run), marker);
  return run;
}

export type Kept = Partial<Retention> | undefined;

/** A pipeline over these sinks, each with its retention, on the day of these tests. */
export function pruned(
  sinks: Readonly<Record<string, Sink>>,
  retention: Kept | Readonly<Record<string, Kept>>,
  scratch: string = ownScratch,
): Pipeline {
  const pipeline = fakePipeline(fakeSource(), sinks);
  const perSink = Object.keys(sinks).some((name) => name in (retention ?? {}));
  const of = (name: string): Kept =>
    perSink ? (retention as Readonly<Record<string, Kept>>)[name] : (retention as Kept);
  return {
    ...pipeline,
    scratch,
    clock: { now: () => now, sleep: () => Promise.resolve() },
    sinks: pipeline.sinks.map((sink) => {
      const own = of(sink.name);
      return own ? { ...sink, retention: { timezone: 'UTC', rules: [], ...own } } : sink;
    }),
  };
}

/** Backups whose manifests are there, as `unit day`. */
export function listedIn(sink: LoggedSink): string[] {
  return [...sink.objects.keys()]
    .flatMap((key) => /units\/([^/]+)\/(\d{4})(\d\d)(\d\d)T.*\/manifest\.json$/.exec(key)?.slice(1) ?? [])
    .reduce<string[][]>((rows, part, index) => {
      if (index % 4 === 0) rows.push([]);
      rows.at(-1)!.push(part);
      return rows;
    }, [])
    .map(([unit, year, month, day]) => `${unit} ${year}-${month}-${day}`)
    .sort();
}
