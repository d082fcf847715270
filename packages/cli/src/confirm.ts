import { abortReason, PgsiloError } from '@pgsilo/plugin';
import type { ErrorCode } from '@pgsilo/plugin';
import type { Invocation } from './invocation.ts';
import { printable } from './terminal/printable.ts';

/** Asks for the name of what is live to be typed. Throws `restore.refused` when something else is typed, `aborted` at Ctrl-C. */
export function confirmReplacing(name: string, invocation: Invocation): Promise<void> {
  return confirmByName(
    name,
    {
      code: 'restore.refused',
      what: `${printable(name)} is live and will be replaced.`,
      otherwise: 'Run the command again, or restore beside it without --replace.',
    },
    invocation,
  );
}

/** As {@link confirmReplacing}, for what cannot be undone at all. Throws `usage.invalid`. */
export function confirmDestroying(unit: string, backups: string, invocation: Invocation): Promise<void> {
  return confirmByName(
    unit,
    {
      code: 'usage.invalid',
      what: `Nobody will ever be able to read ${backups} of ${printable(unit)} again, in no copy of them.`,
      otherwise: 'Run the command again; --dry-run only shows what would become unreadable.',
    },
    invocation,
  );
}

interface Question {
  readonly code: ErrorCode;
  /** What would be done, as a sentence. */
  readonly what: string;
  /** What to do after another name was typed. */
  readonly otherwise: string;
}

async function confirmByName(
  name: string,
  { code, what, otherwise }: Question,
  invocation: Invocation,
): Promise<void> {
  if (!invocation.interactive) {
    throw new PgsiloError(code, `${what} There is no terminal to ask on`, {
      hint: 'Add --yes to go on without being asked.',
    });
  }
  const typed = await ask(`${what} Type its name to go on:`, invocation);
  // A name that holds what nobody can type is accepted as it is shown.
  if (typed === name || typed === printable(name)) return;
  throw new PgsiloError(code, `what was typed is not ${printable(name)}; nothing was touched`, {
    hint: otherwise,
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
