import { resolve } from 'node:path';
import { setUpWal } from '@pgsilo/engine';
import type { WalSetup } from '@pgsilo/engine';
import type { ArchiverSetting } from '@pgsilo/plugin';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { printable, printableText } from '../terminal/printable.ts';
import { isWalPushCommand, placeOf, walFetchCommand, walPushCommand, word } from '../wal-command.ts';

export interface WalSetupCommandOptions {
  readonly apply?: boolean;
  readonly force?: boolean;
}

/** `pgsilo wal setup`: shows what the server must be told, and tells it with --apply. */
export function setup(
  invocation: Invocation,
  given: string,
  { apply = false, force = false }: WalSetupCommandOptions,
): Promise<number> {
  return withPipeline(given, invocation, async (pipeline) => {
    const file = resolve(given);
    const command = {
      text: walPushCommand(file),
      place: placeOf(file),
      newerThan: word(file),
      isOwn: (line: string) => isWalPushCommand(line, file),
    };
    const { signal } = invocation;
    const found = await setUpWal(pipeline, { command, apply, force, signal });
    const restoreCommand = walFetchCommand(file);
    if (invocation.json)
      await invocation.out.json({
        pipeline: pipeline.name,
        settings: found.settings.map((one) => ({ ...one, change: isChange(one) })),
        ...(found.foreign ? { foreign: found.foreign } : {}),
        restoreCommand,
        applied: found.applied !== undefined,
        ...(found.applied ? { restart: found.applied.restart } : {}),
      });
    else if (!(invocation.quiet && apply))
      await invocation.out.write(text(found, restoreCommand, invocation));
    return 0;
  });
}

const isChange = ({ now, wanted }: ArchiverSetting): boolean => now !== wanted;

function text(
  { settings, foreign, applied }: WalSetup,
  restoreCommand: string,
  { style }: Invocation,
): string {
  const lines = settings.flatMap((setting) => {
    const { name, now, wanted, restart } = setting;
    const was = now === '' ? 'empty' : printable(now);
    const note = isChange(setting)
      ? `# ${applied ? 'was' : 'now'}: ${was}${restart ? '; takes a restart' : ''}`
      : '# as it is';
    return [style.dim(note), `${name} = ${configured(wanted)}`];
  });
  const next = settings.some(isChange)
    ? 'With --apply, pgsilo sets it (ALTER SYSTEM).'
    : 'The server is set up like this.';
  const closing = applied
    ? applied.restart.length > 0
      ? style.yellow(`It is set. Restart the server: ${applied.restart.join(', ')} waits for that.`)
      : 'It is set, and the server goes by it.'
    : foreign
      ? style.yellow(
          `The server archives in another way already, by ${foreign.name}: --apply refuses to replace that without --force.`,
        )
      : next;
  return [
    ...lines,
    style.dim('# For reference; pgsilo restore --at writes it where it is needed.'),
    `restore_command = ${configured(restoreCommand)}`,
    '',
    'The paths are those of this machine, and the command is run by the user of the server there: that user must be able to read the pipeline file and to write into its sinks.',
    closing,
    '',
  ].join('\n');
}

/** As a value stands in postgresql.conf, which knows escapes with a backslash. */
function configured(value: string): string {
  return `'${printableText(value).replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
