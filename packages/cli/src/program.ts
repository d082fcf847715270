import { Command } from 'commander';
import type { BackupOptions } from './commands/backup.ts';
import type { DoctorOptions } from './commands/doctor.ts';
import type { DrillCommandOptions } from './commands/drill.ts';
import type { ListOptions } from './commands/list.ts';
import type { CopyCommandOptions } from './commands/copy.ts';
import type { PinOptions } from './commands/pin.ts';
import type { PlanOptions } from './commands/plan.ts';
import type { PruneOptions } from './commands/prune.ts';
import type { SchemaOptions } from './commands/schema.ts';
import type { ShowOptions } from './commands/show.ts';
import type { VerifyOptions } from './commands/verify.ts';
import { addKeysCommands } from './keys-program.ts';
import { act, choice, collect, command, commonOptions, count, examples } from './program-options.ts';
import { addRestoreCommand } from './restore-program.ts';
import { ownVersion } from './version.ts';
import { addWalCommands } from './wal-program.ts';

/** The tree of commands. What a command does is imported when it runs. */
export function createProgram(): Command {
  const program = new Command('pgsilo')
    .description('Back up and restore multi-tenant PostgreSQL.')
    .usage('<command> [arguments] [options]')
    .version(ownVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help; `pgsilo <command> --help` for one command')
    .addHelpCommand(new Command('help [command]').description('show help for a command').helpGroup(lastGroup))
    .configureHelp({ subcommandTerm: termOf })
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .addHelpText('after', exitStatuses);
  addPipelineCommands(program);
  addBackupCommands(program);
  addRestoreCommands(program);
  addKeysCommands(program);
  addWalCommands(program);
  addPluginCommands(program);
  // After their own options, so that help shows those first.
  for (const each of program.commands.flatMap((one) => (one.commands.length > 0 ? one.commands : [one])))
    commonOptions(each);
  return program;
}

function addPipelineCommands(program: Command): void {
  program.commandsGroup('Before a run:');
  command(program, 'validate <file...>', 'check pipeline files: every mistake with its line and column')
    .addHelpText('after', examples('pgsilo validate pipelines/*.yaml'))
    .action(act(async (i, files: string[]) => (await import('./commands/validate.ts')).validate(i, files)));
  command(program, 'doctor <file>', 'touch everything a run would: tools, server, privileges, sinks, keys')
    .option('--full', 'also try out in each sink what takes long: large objects, thousands of keys')
    .addHelpText('after', examples('pgsilo doctor vigia.yaml', 'pgsilo doctor vigia.yaml --full'))
    .action(
      act(async (i, file: string, o: DoctorOptions) =>
        (await import('./commands/doctor.ts')).doctor(i, file, o),
      ),
    );
  command(
    program,
    'plan <file>',
    'show what a run would do: jobs, units and sinks, and what retention would remove',
  )
    .option('--only <unit>', 'only this unit; may be given again', collect)
    .option('--where <label=value>', 'only units with this label; may be given again', collect)
    .addHelpText('after', examples('pgsilo plan vigia.yaml', 'pgsilo plan vigia.yaml --where plan=demo'))
    .action(
      act(async (i, file: string, o: PlanOptions) => (await import('./commands/plan.ts')).plan(i, file, o)),
    );
}

function addBackupCommands(program: Command): void {
  program.commandsGroup('Back up:');
  command(program, 'backup <file...>', 'run pipelines, one after another')
    .option('--only <unit>', 'only this unit; may be given again', collect)
    .option('--where <label=value>', 'only units with this label; may be given again', collect)
    .option('--label <key=value>', 'put a label on the backups; may be given again', collect)
    .option('--pin <reason>', 'hold the backups: retention keeps them')
    .option('--until <time>', 'hold them until then; with --pin')
    .option('--wait <duration>', 'wait this long (10m, 1h) for another run of the pipeline to end')
    .addHelpText(
      'after',
      examples(
        'pgsilo backup vigia.yaml',
        'pgsilo backup vigia.yaml --only acme --only globex',
        'pgsilo backup vigia.yaml --label release=2.4.0 --pin "before 2.4.0" --wait 10m --json',
      ),
    )
    .action(
      act(async (i, files: string[], o: BackupOptions) =>
        (await import('./commands/backup.ts')).backupFiles(i, files, o),
      ),
    );
  command(program, 'prune <file>', 'apply retention: remove the backups that no rule keeps; needs no server')
    .option('--dry-run', 'only show what would be removed, and why')
    .addHelpText('after', examples('pgsilo prune vigia.yaml --dry-run', 'pgsilo prune vigia.yaml --quiet'))
    .action(
      act(async (i, file: string, o: PruneOptions) =>
        (await import('./commands/prune.ts')).pruneFile(i, file, o),
      ),
    );
  command(program, 'copy <file>', 'fill what one sink lacks from another; needs no server')
    .requiredOption('--from <sink>', 'the sink that has the backups')
    .requiredOption('--to <sink>', 'the sink that lacks them')
    .option('--unit <unit...>', 'only these units')
    .option('--since <time>', 'only backups that were begun then or later')
    .option('--dry-run', 'only show what would be copied')
    .addHelpText('after', examples('pgsilo copy vigia.yaml --from local --to off-site'))
    .action(
      act(async (i, file: string, o: CopyCommandOptions) =>
        (await import('./commands/copy.ts')).copy(i, file, o),
      ),
    );
  command(program, 'pin <file> <unit> <backup>', 'hold one backup: retention keeps it')
    .requiredOption('--reason <text>', 'why')
    .option('--until <time>', 'hold it until then; without it until `pgsilo unpin`')
    .addHelpText(
      'after',
      examples('pgsilo pin vigia.yaml acme 20261121T020000Z-7f3a9c --reason "audit 2026"'),
    )
    .action(
      act(async (i, file: string, unit: string, backup: string, o: PinOptions) =>
        (await import('./commands/pin.ts')).pin(i, { file, unit, backup }, o),
      ),
    );
  command(program, 'unpin <file> <unit> <backup>', 'hold it no longer')
    .addHelpText('after', examples('pgsilo unpin vigia.yaml acme 20261121T020000Z-7f3a9c'))
    .action(
      act(async (i, file: string, unit: string, backup: string) =>
        (await import('./commands/pin.ts')).unpin(i, { file, unit, backup }),
      ),
    );
}

function addRestoreCommands(program: Command): void {
  program.commandsGroup('Look, prove, restore:');
  command(program, 'list <file> [unit]', 'list backups, newest first')
    .option('--sink <name>', 'only this sink')
    .option('--limit <n>', 'at most so many', count)
    .addHelpText('after', examples('pgsilo list vigia.yaml', 'pgsilo list vigia.yaml acme --json'))
    .action(
      act(async (i, file: string, unit: string | undefined, o: ListOptions) =>
        (await import('./commands/list.ts')).list(i, file, unit, o),
      ),
    );
  command(program, 'show <file> <unit> [backup]', 'show one backup, and how to restore it by hand')
    .option('--sink <name>', 'as this sink has it')
    .addHelpText('after', examples('pgsilo show vigia.yaml acme'))
    .action(
      act(async (i, file: string, unit: string, backup: string | undefined, o: ShowOptions) =>
        (await import('./commands/show.ts')).show(i, { file, unit, backup }, o),
      ),
    );
  command(program, 'verify <file> [unit...]', 'prove that backups are whole by reading them')
    .addOption(choice('--level <level>', 'how deep', ['objects', 'decode', 'restore'], 'objects'))
    .option(
      '--sample <n>',
      'so many units: by chance; to restore, those first that were not for longest',
      count,
    )
    .option('--all', 'every backup, not only the newest of each unit')
    .option('--backup <id>', 'this backup')
    .option('--sink <name>', 'only this sink')
    .addHelpText(
      'after',
      examples(
        'pgsilo verify vigia.yaml',
        'pgsilo verify vigia.yaml acme --level decode',
        'pgsilo verify vigia.yaml --level restore --sample 5',
      ),
    )
    .action(
      act(async (i, file: string, units: string[], o: VerifyOptions) =>
        (await import('./commands/verify.ts')).verifyBackups(i, file, units, o),
      ),
    );
  drillCommand(program);
  addRestoreCommand(program);
}

function drillCommand(program: Command): void {
  command(program, 'drill <file>', 'restore everything of the newest run into scratch, and measure')
    .option('--sink <name>', 'only from this sink')
    .option('--report <file>', 'write the report there: JSON where the name ends with .json, else Markdown')
    .addHelpText('after', examples('pgsilo drill vigia.yaml', 'pgsilo drill vigia.yaml --report drill.md'))
    .action(
      act(async (i, file: string, o: DrillCommandOptions) =>
        (await import('./commands/drill.ts')).drillFile(i, file, o),
      ),
    );
}

function addPluginCommands(program: Command): void {
  program.commandsGroup(lastGroup);
  command(program, 'plugins [name]', 'list the installed plugins, or show one with its options')
    .addHelpText('after', examples('pgsilo plugins', 'pgsilo plugins local'))
    .action(
      act(async (i, name: string | undefined) => (await import('./commands/plugins.ts')).plugins(i, name)),
    );
  command(program, 'schema', 'print the JSON Schema of pipeline files, for editors')
    .option('--output <file>', 'write it to a file')
    .addHelpText('after', examples('pgsilo schema --output pgsilo.schema.json'))
    .action(act(async (i, o: SchemaOptions) => (await import('./commands/schema.ts')).schema(i, o)));
}

/** A command and its arguments; that each has options need not be said each time. */
function termOf(each: Command): string {
  const words = each.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [each.name(), ...words].join(' ');
}

const lastGroup = 'Plugins, editors, help:';

const exitStatuses = `
Exit status:
  0    all good
  1    some of it failed (units, checks); the rest is committed
  2    the file or the arguments are wrong; nothing was touched
  3    nothing could be done
  130  interrupted; nothing is half-committed

Examples:
  pgsilo validate vigia.yaml && pgsilo backup vigia.yaml
  pgsilo restore vigia.yaml acme
`;
