import type { Command } from 'commander';
import type { WalSetupCommandOptions } from './commands/wal-setup.ts';
import { act, command, examples } from './program-options.ts';

/** `pgsilo wal …`. */
export function addWalCommands(program: Command): void {
  program.commandsGroup('Write-ahead log:');
  const wal = command(program, 'wal', 'keep write-ahead log, and bring it back').addHelpText(
    'after',
    examples(
      'pgsilo wal push /etc/pgsilo/files.yaml %p',
      'pgsilo wal fetch /etc/pgsilo/files.yaml %f %p || { [ $? -eq 44 ] && exit 44; exit 126; }',
    ),
  );
  command(
    wal,
    'push <file> <path>',
    'put a file of the log into every sink, for archive_command; again, it does nothing',
  ).action(
    act(async (i, file: string, path: string) => (await import('./commands/wal.ts')).push(i, file, path)),
  );
  command(
    wal,
    'fetch <file> <name> <path>',
    'bring a file of the log back, for restore_command; exits with 44 when it was never archived, with 126 in all trouble',
  ).action(
    act(async (i, file: string, name: string, path: string) =>
      (await import('./commands/wal.ts')).fetch(i, { file, name, path }),
    ),
  );
  command(
    wal,
    'status <file>',
    'show what is archived, what is missing, to which moments backups can be restored, and how far behind the archiver is',
  )
    .addHelpText('after', examples('pgsilo wal status /etc/pgsilo/files.yaml'))
    .action(act(async (i, file: string) => (await import('./commands/wal-status.ts')).status(i, file)));
  command(
    wal,
    'setup <file>',
    'show the settings with which the server archives into the pipeline, and set them with --apply',
  )
    .option('--apply', 'set them by ALTER SYSTEM, and have the server read them')
    .option('--force', 'with --apply: replace another archive_command that is set')
    .addHelpText(
      'after',
      examples('pgsilo wal setup /etc/pgsilo/files.yaml', 'pgsilo wal setup /etc/pgsilo/files.yaml --apply'),
    )
    .action(
      act(async (i, file: string, o: WalSetupCommandOptions) =>
        (await import('./commands/wal-setup.ts')).setup(i, file, o),
      ),
    );
}
