import type { Command } from 'commander';
import type { DestroyOptions } from './commands/keys-destroy.ts';
import { act, collect, command, examples } from './program-options.ts';

/** `pgsilo keys …`. */
export function addKeysCommands(program: Command): void {
  program.commandsGroup('Keys of units:');
  const keys = command(program, 'keys', 'list, renew, copy and destroy the keys of units').addHelpText(
    'after',
    examples('pgsilo keys list vigia.yaml', 'pgsilo keys destroy vigia.yaml acme --dry-run'),
  );
  command(keys, 'list <file> [unit...]', 'list the keys of units, the oldest of each first').action(
    act(async (i, file: string, units: string[]) =>
      (await import('./commands/keys.ts')).listKeys(i, file, units),
    ),
  );
  command(keys, 'rotate <file> <unit...>', 'give units a new key; what is there stays readable').action(
    act(async (i, file: string, units: string[]) =>
      (await import('./commands/keys.ts')).rotateKeys(i, file, units),
    ),
  );
  command(keys, 'export <file> <folder> [unit...]', 'add to a folder what it lacks of the keyring').action(
    act(async (i, file: string, folder: string, units: string[]) =>
      (await import('./commands/keys.ts')).exportKeys(i, { file, folder, units }),
    ),
  );
  command(
    keys,
    'destroy <file> <unit>',
    'make every backup of a unit unreadable, in every copy of it, and write a signed receipt',
  )
    .option('--by <name>', 'who does it, for the receipt; without it the user and the machine')
    .option(
      '--also <file>',
      'another pipeline file whose sinks may hold the unit; may be given again',
      collect,
    )
    .option('--receipt <folder>', 'where the receipt and its signature are written; without it here')
    .option('--dry-run', 'only show what would become unreadable, and what would still hold the unit')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      examples(
        'pgsilo keys destroy vigia.yaml acme --dry-run',
        'pgsilo keys destroy vigia.yaml acme --also whole-server.yaml --receipt /srv/receipts',
      ),
    )
    .action(
      act(async (i, file: string, unit: string, o: DestroyOptions) =>
        (await import('./commands/keys-destroy.ts')).destroyKeys(i, file, unit, o),
      ),
    );
}
