import { readArchive, useList, type TocEntry } from '@pgsilo/postgres';
import { serverUser } from '@pgsilo/testkit/postgres';
import { execa } from 'execa';
import { chownSync, createReadStream, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestServer } from './server.ts';

/** Database that PostgreSQL's own regression tests leave: every kind of object that it has. */
export const regression = 'regression';

/**
 * Runs PostgreSQL's regression tests in a server of the same version.
 * @param source the unpacked source of PostgreSQL
 * @param libraries a folder with `regress.so` (compiled from `src/test/regress/regress.c`), `refint.so` and `autoinc.so`
 * @returns the tests that failed
 */
export async function fillRegression(
  server: TestServer,
  source: string,
  libraries: string,
): Promise<readonly string[]> {
  const tests = join(source, 'src/test/regress');
  const { stdout: library } = await execa(`${server.bin}/pg_config`, ['--pkglibdir']);
  const program = join(library, 'pgxs/src/test/regress/pg_regress');
  const output = mkdtempSync(join(dirname(server.folder), 'pgsilo-regress-'));
  const user = serverUser();
  // The server itself writes there.
  if (user) chownSync(output, user.uid, user.gid);
  const { all, exitCode } = await execa(
    program,
    [
      `--inputdir=${tests}`, `--outputdir=${output}`, `--dlpath=${libraries}`, `--bindir=${server.bin}`, `--schedule=${join(tests, 'parallel_schedule')}`,
      `--host=${server.host}`, `--port=${server.port}`, `--user=${server.user}`, '--max-connections=4',
    ],
    { env: { PGPASSWORD: server.password }, cwd: output, reject: false, all: true, ...user },
  ); // prettier-ignore
  const hasRun = exitCode === 0 || existsSync(join(output, 'regression.out'));
  rmSync(output, { recursive: true, force: true });
  if (!hasRun) throw new Error(all);
  return [...all.matchAll(/^(?:test)?\s*(\S+)\s+\.\.\. FAILED/gm)].map(([, name]) => name!);
}

/** An archive file with its entries. */
export interface Part {
  readonly path: string;
  readonly entries: readonly TocEntry[];
}

export async function readPart(path: string): Promise<Part> {
  const { toc } = await readArchive(createReadStream(path));
  return { path, entries: toc.entries };
}

/** What an archive says of an object, besides the numbers of the entries; a key that two dumps of one state share. */
export function keyOf({ desc, namespace, tag, catalogTableOid, catalogOid, section }: TocEntry): string {
  return JSON.stringify([section, desc, namespace, tag, catalogTableOid, catalogOid]);
}

/**
 * Restores archives that refer to each other into one database, entry by entry in the order that a dump of the whole has.
 * Returns what pg_restore complained of.
 */
export async function rebuild(
  server: TestServer,
  whole: Part,
  parts: readonly Part[],
  database: string,
): Promise<readonly string[]> {
  const places = new Map(
    parts.flatMap((part) => part.entries.map((entry) => [keyOf(entry), { part, dumpId: entry.dumpId }])),
  );
  const runs: { part: Part; dumpIds: number[] }[] = [];
  for (const entry of whole.entries) {
    const place = places.get(keyOf(entry));
    if (!place) throw new Error(`${keyOf(entry)} is in no archive`);
    const last = runs.at(-1);
    if (last?.part === place.part) last.dumpIds.push(place.dumpId);
    else runs.push({ part: place.part, dumpIds: [place.dumpId] });
  }
  const complaints: string[] = [];
  for (const { part, dumpIds } of runs) {
    const list = join(server.folder, 'list');
    writeFileSync(list, useList(dumpIds));
    const { stderr } = await execa(
      `${server.bin}/pg_restore`,
      [`--dbname=${server.urlOf(database)}`, `--use-list=${list}`, part.path],
      { reject: false },
    );
    if (stderr) complaints.push(stderr);
  }
  return complaints;
}

/**
 * A plain dump without what pg_dump itself does not give back: the order of a child table's own and inherited columns, in its definition and in its rows, and the order of rows
 * (a table whose pages are filled by a tenth is filled otherwise by COPY). PostgreSQL's own test of its dumps adjusts the former too, for the tables that it knows by name.
 */
export function withoutOrder(dump: string): string {
  return dump
    .replaceAll(
      /(?<=^CREATE (?:UNLOGGED )?TABLE [^\n]+ \(\n)(.*?)(?=\n\)\nINHERITS )/gms,
      (columns: string) => columns.split(/,?\n/).sort().join('\n'),
    )
    .replaceAll(
      /^COPY (\S+) \(([^\n]+)\) FROM stdin;\n(.*?)(?=^\\\.$)/gms,
      (_, table: string, list: string, rows: string) => {
        const names = list.split(', ');
        const order = names.map((_name, index) => index).sort((a, b) => (names[a]! < names[b]! ? -1 : 1));
        const sorted = (fields: readonly string[]): string => order.map((at) => fields[at]).join('\t');
        const lines = rows.split('\n').map((row) => (row === '' ? row : sorted(row.split('\t'))));
        return `COPY ${table} (${sorted(names)}) FROM stdin;\n${lines.sort().join('\n')}`;
      },
    );
}
