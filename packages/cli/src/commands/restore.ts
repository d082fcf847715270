import { parseTime, prepareRestore } from '@pgsilo/engine';
import type { PreparedRestore } from '@pgsilo/engine';
import { PgsiloError, redact, type RowConflict, type RowSelection } from '@pgsilo/plugin';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { storedSize } from '../backup-document.ts';
import { confirmReplacing } from '../confirm.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { restoreDocument, restoreText } from '../restore-report.ts';
import { watchRestore } from '../restore-watch.ts';
import { parseFolders } from '../folders-argument.ts';
import { parseGoal, type GoalOptions } from '../recovery-argument.ts';
import { parseRows } from '../rows-argument.ts';
import { targetServer } from '../target-server.ts';
import { formatAgo, formatTime } from '../terminal/format.ts';
import { printable, printableText } from '../terminal/printable.ts';
import { walFetchCommand } from '../wal-command.ts';
import { indented } from '../terminal/wrap.ts';

export interface RestoreOptions extends GoalOptions {
  readonly all?: boolean;
  readonly backup?: string;
  readonly from?: string;
  readonly to?: string;
  readonly start?: boolean;
  readonly tablespace?: readonly string[];
  readonly toServer?: string;
  readonly into?: string;
  readonly toSchema?: string;
  readonly table?: readonly string[];
  readonly dataOnly?: boolean;
  readonly rows?: readonly string[];
  readonly onConflict?: RowConflict;
  readonly database?: string;
  readonly dump?: string;
  readonly rolesOnly?: boolean;
  readonly replace?: boolean;
  readonly dropOld?: boolean;
  /** False with --no-safety-backup. */
  readonly safetyBackup: boolean;
  readonly yes?: boolean;
  /** False with --no-owner. */
  readonly owner: boolean;
  readonly jobs?: number;
}

const mostJobs = 4;

/** `pgsilo restore`: one unit, or with `--all` everything. */
export async function restoreFile(
  invocation: Invocation,
  file: string,
  unit: string | undefined,
  options: RestoreOptions,
): Promise<number> {
  const refuse = (message: string, hint: string): never => {
    throw new PgsiloError('usage.invalid', message, { hint });
  };
  if (unit !== undefined)
    return options.all
      ? refuse('--all is given with a unit', 'Leave out one of them.')
      : restore(invocation, file, unit, options);
  if (!options.all)
    refuse(
      'no unit is named',
      '`pgsilo list FILE` shows them; --all restores everything into another server.',
    );
  return (await import('./restore-all.ts')).restoreEverything(invocation, file, options);
}

/** Shows what will be done, asks where something live is replaced, does it. */
async function restore(
  invocation: Invocation,
  file: string,
  unit: string,
  options: RestoreOptions,
): Promise<number> {
  refuseContradictions(options);
  const replace = options.replace ?? false;
  const overwrites = replace ? '--replace' : '--on-conflict replace';
  if ((replace || options.onConflict === 'replace') && !options.yes && !invocation.interactive) {
    throw new PgsiloError(
      'restore.refused',
      `${overwrites} asks for confirmation, and there is no terminal to ask on`,
      {
        hint: 'Add --yes to replace without being asked.',
      },
    );
  }
  const toServer = targetServer(options.toServer, invocation.env);
  return withPipeline(file, invocation, async (pipeline, { timezone }) => {
    const { backup, before, from: sink, to } = options;
    const goal = parseGoal(options, timezone);
    const rows = rowsOf(options);
    const tables = options.dataOnly ? undefined : options.table;
    const watch = await watchRestore(invocation);
    let prepared: PreparedRestore | undefined;
    try {
      prepared = await prepareRestore(pipeline, {
        unit,
        ...(backup === undefined ? {} : { backup }),
        ...(before === undefined ? {} : { before: parseTime(before, timezone) }),
        ...(goal ? { recovery: { ...goal, fetchCommand: walFetchCommand(resolve(file)) } } : {}),
        ...(sink === undefined ? {} : { sink }),
        ...(to === undefined ? {} : { to }),
        ...(options.start ? { start: true } : {}),
        ...(options.tablespace === undefined ? {} : { tablespaces: parseFolders(options.tablespace) }),
        ...(toServer === undefined ? {} : { toServer }),
        ...(options.into === undefined ? {} : { into: options.into }),
        ...(options.toSchema === undefined ? {} : { toSchema: options.toSchema }),
        ...(tables === undefined ? {} : { tables }),
        ...(rows === undefined ? {} : { rows }),
        ...(options.onConflict === undefined ? {} : { onConflict: options.onConflict }),
        ...(options.database === undefined ? {} : { database: options.database }),
        ...(options.dump === undefined ? {} : { dump: resolve(options.dump) }),
        ...(options.rolesOnly ? { rolesOnly: true } : {}),
        replace,
        dropOld: options.dropOld ?? false,
        safetyBackup: options.safetyBackup,
        jobs: options.jobs ?? Math.min(mostJobs, availableParallelism()),
        owner: options.owner,
        signal: invocation.signal,
        observe: (event) => watch.observe(event),
      });
      watch.pause();
      if (!invocation.json && !invocation.quiet) await invocation.out.write(planText(prepared, invocation));
      if (prepared.replaces !== undefined && !options.yes) {
        await confirmReplacing(prepared.replaces, invocation);
      }
      await watch.resume();
      const report = await prepared.run();
      watch.end();
      if (invocation.json) await invocation.out.json(restoreDocument(report, prepared));
      else await invocation.out.write(restoreText(report, invocation));
      return report.failedHooks.length > 0 ? 1 : 0;
    } finally {
      watch.end();
      await prepared?.close();
    }
  });
}

/** What the engine would refuse too, but before anything is read, and in the words of the command line. */
function refuseContradictions(options: RestoreOptions): void {
  const refuse = (message: string, hint: string): never => {
    throw new PgsiloError('usage.invalid', message, { hint });
  };
  if (options.backup !== undefined && options.before !== undefined)
    refuse('--backup and --before exclude each other', 'Give one of them.');
  if (options.dropOld && !options.replace) refuse('--drop-old is given without --replace', 'Add --replace.');
  if (!options.safetyBackup && !options.replace)
    refuse('--no-safety-backup is given without --replace', 'Nothing that is live is touched: leave it out.');
  for (const [name, value] of [
    ['--to', options.to],
    ['--into', options.into],
    ['--to-schema', options.toSchema],
  ])
    if (options.replace && value !== undefined)
      refuse(`--replace and ${name} exclude each other`, '--replace takes the name of the live one.');
  const rows = options.rows !== undefined || options.dataOnly === true;
  if (options.dataOnly && options.table === undefined)
    refuse('--data-only is given without --table', 'Name the tables whose rows are wanted.');
  if (options.onConflict !== undefined && !rows)
    refuse('--on-conflict is given without --rows or --data-only', 'Leave it out.');
  if (options.rows !== undefined && options.table !== undefined && !options.dataOnly)
    refuse(
      '--rows and --table exclude each other',
      'With --data-only, --table puts all rows of a table into the live one.',
    );
  for (const [name, value] of [
    ['--to', options.to],
    ['--into', options.into],
    ['--to-schema', options.toSchema],
  ])
    if (rows && value !== undefined)
      refuse(`${name} excludes --rows and --data-only`, 'Rows are put into the live tables.');
  if (options.to !== undefined && options.into !== undefined)
    refuse('--to and --into exclude each other', '--to names a new database, --into one that is there.');
  if (options.replace && options.table !== undefined) {
    refuse(
      '--replace and --table exclude each other',
      'Restore the tables into a new database and copy what you need.',
    );
  }
}

/** The rows that are asked for, by condition or all of a table; undefined: none are. */
function rowsOf({ rows, table, dataOnly }: RestoreOptions): readonly RowSelection[] | undefined {
  if (!rows && !dataOnly) return undefined;
  return [
    ...(rows ?? []).map(parseRows),
    ...(dataOnly ? (table ?? []).map((name) => ({ table: name })) : []),
  ];
}

function planText({ entry, sink, plan }: PreparedRestore, { style, now, out }: Invocation): string {
  const { snapshotAt } = entry.manifest;
  const time = `${formatTime(snapshotAt)} (${formatAgo(snapshotAt, now())})`;
  const lines = plan.map((line) => `  - ${indented(printableText(redact(line)), 4, out.width)}\n`).join('');
  const about = `${storedSize(entry.manifest)}, from sink ${printable(sink)}`;
  return `${style.bold(printable(entry.unit))}  ${entry.backup}\n  ${style.dim(`holds the state of ${time}, ${about}`)}\n${lines}\n`;
}
