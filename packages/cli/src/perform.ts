import { toPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError } from '@pgsilo/plugin';
import type { Mistake } from '@pgsilo/pipeline-file';
import { errorDocument, errorText } from './error-text.ts';
import { openInvocation } from './invocation.ts';
import type { CommonOptions, Invocation } from './invocation.ts';
import { listenForSignals } from './signals.ts';

/** How long what is still open after a command may keep the process alive, in milliseconds. */
const lingering = 5000;

/**
 * Runs a command with everything around it: signals, the error that ends it, the exit status. The status is set, not forced, so that no output is cut short.
 * @param work resolves with the exit status.
 */
export async function perform(
  options: CommonOptions,
  work: (invocation: Invocation) => Promise<number>,
): Promise<void> {
  let invocation: Invocation | undefined;
  const interruption = listenForSignals(
    (name) => invocation?.log.warn(`${name}: ending processes and sessions; a second ${name} stops at once`),
    () => invocation?.screen.stop(),
  );
  let defect: PgsiloError | undefined;
  const onDefect = (reason: unknown): void => {
    // What runs is ended in order rather than left to die with the process: it has children and sessions on a server.
    if (defect) process.exit(3);
    defect = toPgsiloError(reason);
    interruption.abort(defect);
    setTimeout(() => process.exit(3), lingering * 4).unref();
  };
  process.on('uncaughtException', onDefect);
  process.on('unhandledRejection', onDefect);
  process.stderr.on('error', () => undefined);
  try {
    invocation = await openInvocation(options, interruption.signal);
    process.exitCode = await work(invocation);
    if (defect) throw defect;
  } catch (thrown) {
    const error = defect ?? toPgsiloError(thrown);
    process.exitCode = error.exit;
    invocation?.screen.stop();
    await report(error, invocation);
  } finally {
    invocation?.screen.stop();
    interruption.dispose();
    process.off('uncaughtException', onDefect);
    process.off('unhandledRejection', onDefect);
    if (invocation) endSoon(invocation);
  }
}

/** A handle that a plugin forgot must not keep cron waiting for ever; unread output may. */
function endSoon(invocation: Invocation): void {
  setTimeout(() => {
    if (invocation.out.flushed) process.exit();
    else endSoon(invocation);
  }, lingering).unref();
}

async function report(error: PgsiloError, invocation: Invocation | undefined): Promise<void> {
  if (!invocation) {
    process.stderr.write(`pgsilo: ${error.message} (${error.code})\n`);
    return;
  }
  const { mistakes } = error as { mistakes?: readonly Mistake[] };
  await reportError(error, invocation);
  if (invocation.json && !invocation.out.used) {
    const places = mistakes?.map(({ frame: _, ...mistake }) => mistake);
    await invocation.out.json({
      error: { ...errorDocument(error), ...(places ? { mistakes: places } : {}) },
    });
  }
}

/** Shows an error on standard error, in the form of the logs. */
export async function reportError(error: PgsiloError, invocation: Invocation): Promise<void> {
  const { log, screen, errorStyle, debug } = invocation;
  const { mistakes } = error as { mistakes?: readonly Mistake[] };
  if (invocation.logFormat === 'json') {
    const { code, hint } = errorDocument(error);
    log.error(error.message, { code, hint, ...(debug ? { stack: error.stack } : {}) });
  } else if (mistakes && mistakes.length > 0) {
    const { formatMistakes } = await import('@pgsilo/pipeline-file');
    const count = mistakes.length === 1 ? 'one mistake' : `${mistakes.length} mistakes`;
    screen.print(formatMistakes(mistakes, { color: errorStyle.isColorSupported }));
    screen.print(`\n${errorStyle.red('error')}  ${count}; nothing was touched (${error.code})`);
  } else {
    screen.print(errorText(error, errorStyle, debug));
  }
}
