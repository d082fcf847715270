import type { Command } from 'commander';
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
}
