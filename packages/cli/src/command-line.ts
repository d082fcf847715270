import { CommanderError } from 'commander';
import { createProgram } from './program.ts';

/** Parses the command line and runs the command that it names. Sets the exit status; throws nothing. */
export async function runCommandLine(argv: readonly string[]): Promise<void> {
  // A reader that goes away (`pgsilo --help | head`) is no error. A command's own output hears of it too, and of what else goes wrong.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exitCode ||= 3;
  });
  try {
    const program = createProgram();
    if (argv.length === 0) {
      process.stderr.write(program.helpInformation());
      process.exitCode = 2;
      return;
    }
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const { perform } = await import('./perform.ts');
    await perform(commonOptionsOf(argv), async () => {
      throw await usageError(error, argv);
    });
  }
}

/** What commander says, as an error of ours. Its "Did you mean" stands on a second line. */
async function usageError(error: unknown, argv: readonly string[]): Promise<unknown> {
  if (!(error instanceof CommanderError)) return error;
  const { PgsiloError } = await import('@pgsilo/plugin');
  const [message = '', ...more] = error.message.replace(/^error: /, '').split('\n');
  const near = more.join(' ').replace(/^\((.*)\)$/, '$1');
  const command =
    /^[a-z]+$/.test(argv[0] ?? '') && !message.startsWith('unknown command') ? `${argv[0]} ` : '';
  return new PgsiloError('usage.invalid', message, {
    hint: `${near === '' ? '' : `${near} `}\`pgsilo ${command}--help\` shows what there is.`,
    cause: error,
  });
}

/** Enough of the options to report an error when parsing them failed. */
function commonOptionsOf(argv: readonly string[]): { json: boolean; color: boolean } {
  return { json: argv.includes('--json'), color: !argv.includes('--no-color') };
}
