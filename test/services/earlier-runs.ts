import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writePipeline } from './fleet.ts';
import { pgsiloOk, type CallOptions } from './pgsilo.ts';
import { sealedDocument } from './sealed-document.ts';
import type { TestServer } from './server.ts';
import { backupsIn, runsIn, type StoredBackup } from './store-folder.ts';
import { filesIn } from './stored.ts';

/** Puts a run that lies in the folder of a local sink there once more, as if it had been made at another moment: its records and its backups. @returns its id. */
export function repeatRun(store: string, run: string, moment: Date): string {
  const stamp = moment.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const other = `${stamp}-${run.slice(-6)}`;
  for (const path of filesOf(store, run)) {
    const target = join(store, path.replaceAll(run, other));
    mkdirSync(dirname(target), { recursive: true });
    if (path.includes('/units/') && !path.endsWith('/manifest.json')) copyFileSync(join(store, path), target);
    else {
      const document = JSON.parse(readFileSync(join(store, path), 'utf8').replaceAll(run, other));
      for (const time of ['startedAt', 'finishedAt', 'snapshotAt'])
        if (time in document) document[time] = moment.toISOString();
      writeFileSync(target, sealedDocument(document));
    }
  }
  return other;
}

/** As {@link repeatRun}, and takes away the original. */
export function moveRun(store: string, run: string, moment: Date): string {
  const moved = repeatRun(store, run, moment);
  removeRun(store, run);
  return moved;
}

export function removeRun(store: string, run: string): void {
  for (const path of filesOf(store, run)) rmSync(join(store, path));
}

function filesOf(store: string, run: string): string[] {
  return filesIn(store).filter((path) => path.includes(run));
}

/** A real run of the fleet of now, and the same as of these days at two in the morning, UTC. */
export interface History {
  /** Ids of the runs by their days; the real one's is `now`. */
  readonly runs: ReadonlyMap<string, string>;
  /** YAML of a sink that has all of it, and the folder of that; a new one each time. @param more further options, each after a comma. */
  sink(more?: string): { readonly yaml: string; readonly name: string; readonly store: string };
  /** Days of the backups of a unit that lie in a store, oldest first. */
  daysIn(store: string, unit: string): string[];
  backup(store: string, unit: string, day: string): StoredBackup;
}

export async function makeHistory(
  server: TestServer,
  at: CallOptions,
  days: readonly string[],
): Promise<History> {
  const origin = join(server.folder, 'origin');
  await pgsiloOk(['backup', writePipeline(server, { sinks: '  - { use: local, path: origin }' })], at);
  const run = runsIn(origin)[0]!.run;
  const runs = new Map(
    days.map((day) => [day, repeatRun(origin, run, new Date(`${day}T02:00:00Z`))] as const),
  ).set('now', run);
  const dayOf = new Map([...runs].map(([day, id]) => [id, day]));
  const of = (store: string, unit: string): StoredBackup[] =>
    backupsIn(store)
      .filter((each) => each.unit === unit)
      .sort((a, b) => (a.backup < b.backup ? -1 : 1));
  let sinks = 0;
  return {
    runs,
    sink(more = '') {
      sinks += 1;
      const name = `sink-${sinks}`;
      const store = join(server.folder, name);
      cpSync(origin, store, { recursive: true });
      return { name, store, yaml: `  - { use: local, name: ${name}, path: ${store}${more} }` };
    },
    daysIn: (store, unit) => of(store, unit).map(({ backup }) => dayOf.get(backup) ?? backup),
    backup: (store, unit, day) => of(store, unit).find(({ backup }) => dayOf.get(backup) === day)!,
  };
}
