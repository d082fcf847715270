import type { Command } from 'commander';
import type { RestoreOptions } from './commands/restore.ts';
import { act, choice, collect, command, count, examples } from './program-options.ts';

/** `pgsilo restore`. */
export function addRestoreCommand(program: Command): void {
  command(
    program,
    'restore <file> [unit]',
    'restore a unit into a new database, in place of the live one, or everything into another server',
  )
    .option('--all', 'everything, into the server of --to-server; call it again to go on')
    .option('--backup <id>', 'this backup; the newest otherwise')
    .option('--before <time>', 'the newest backup not after this time')
    .option('--at <time>', 'the state at this very moment; needs write-ahead log, as do the next six')
    .option('--lsn <x/y>', 'the state at this position in the log')
    .option('--xid <n>', 'the state right after this transaction')
    .option('--restore-point <name>', 'the state at what pg_create_restore_point named')
    .option('--latest', 'the end of what was archived')
    .option('--immediate', 'the first state of the backup that is consistent, its end')
    .option('--timeline <n|latest|current>', 'the timeline that leads there; current: that of the backup')
    .option('--from <sink>', 'read from this sink')
    .option('--to <name>', 'name of the new database; of a server’s files: the folder for them')
    .option('--start', 'of a server’s files: start it, wait until it has recovered, and leave it running')
    .option(
      '--tablespace <old=new>',
      'of a server’s files: put the tablespace of the folder old into new; may be given again',
      collect,
    )
    .option('--into <name>', 'of a unit that is a schema: put it into this database, which exists')
    .option('--to-schema <name>', 'of a unit that is a schema: another name for it')
    .option('--to-server <env:NAME|url>', 'another server; env:NAME reads the URL from a variable')
    .option(
      '--table <schema.table>',
      'only this table and what it needs; may be given again (of a schema: its name alone)',
      collect,
    )
    .option('--data-only', 'with --table: only its rows, into the live table')
    .option(
      '--rows <table where condition>',
      'only these rows, into the live table; may be given again',
      collect,
    )
    .addOption(
      choice('--on-conflict <what>', 'what becomes of rows that are there already', [
        'fail',
        'skip',
        'replace',
      ]),
    )
    .option('--database <name>', 'of a unit that holds a whole server: only this database')
    .option('--dump <file>', 'of a server’s files: write this database into a new file, for pg_restore')
    .option('--roles-only', 'of a unit that holds a whole server: only its roles')
    .option('--replace', 'put it in the place of the live one, after it was compared')
    .option('--drop-old', 'with --replace: drop the old one instead of keeping it')
    .option('--no-safety-backup', 'with --replace: do not back up first what is replaced')
    .option('--yes', 'with --replace: do not ask')
    .option('--no-owner', 'leave out owners and grants')
    .option('--jobs <n>', 'parallel restore workers', count)
    .addHelpText(
      'after',
      examples(
        'pgsilo restore vigia.yaml acme',
        'pgsilo restore vigia.yaml acme --before 2026-11-20T18:00:00Z --table public.orders',
        'pgsilo restore vigia.yaml acme --replace',
        'pgsilo restore schemas.yaml acme --to-schema acme_yesterday',
        `pgsilo restore schemas.yaml acme --rows "accounts where id = 7" --on-conflict skip`,
        'pgsilo restore vigia.yaml @globals --to-server env:NEW_SERVER_URL',
        'pgsilo restore vigia.yaml --all --to-server env:NEW_SERVER_URL',
        'pgsilo restore server.yaml @cluster --database nostromo --to nostromo_copy',
        'pgsilo restore files.yaml @cluster --to /var/lib/postgresql/17/restored',
        'pgsilo restore files.yaml @cluster --restore-point "before 2.4.0" --to /srv/restored --start',
        'pgsilo restore files.yaml acme --at "2026-11-20 14:30:00Z" --dump acme.dump',
      ),
    )
    .action(
      act(async (i, file: string, unit: string | undefined, o: RestoreOptions) =>
        (await import('./commands/restore.ts')).restoreFile(i, file, unit, o),
      ),
    );
}
