import { abortReason, PgsiloError } from '@pgsilo/plugin';
import type { Invocation } from './invocation.ts';
import { printable } from './terminal/printable.ts';

/** Asks for the name of what is live to be typed. Throws `restore.refused` when something else is typed, `aborted` at Ctrl-C. */
export async function confirmReplacing(name: string, invocation: Invocation): Promise<void> {
  if (!invocation.interactive) {
    throw new PgsiloError(
      'restore.refused',
      `${printable(name)} would be replaced, and there is no terminal to ask on`,
      {
        hint: 'Add --yes to replace without being asked.',
      },
    );
  }
  const typed = await ask(
    `${printable(name)} is live and will be replaced. Type its name to go on:`,
    invocation,
  );
  // A name that holds what nobody can type is accepted as it is shown.
  if (typed === name || typed === printable(name)) return;
  throw new PgsiloError('restore.refused', `what was typed is not ${printable(name)}; nothing was touched`, {
    hint: 'Run the command again, or restore beside it without --replace.',
  });
}

async function ask(message: string, { signal }: Invocation): Promise<string> {
  const { default: input } = await import('@inquirer/input');
  try {
    return await input({ message }, { signal, output: process.stderr });
  } catch (error) {
    if (signal.aborted) throw abortReason(signal);
    // Ctrl-C is a key, not a signal, while a terminal is read key by key.
    throw new PgsiloError('aborted', 'interrupted; nothing was touched', { cause: error });
  }
}
