import { doctor as diagnose } from '@pgsilo/engine';
import type { Diagnosis } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { tryPromises } from '../sink-promises.ts';
import { fitWidth, formatCount } from '../terminal/format.ts';
import { printable, printableText } from '../terminal/printable.ts';
import { wrapText } from '../terminal/wrap.ts';

export interface DoctorOptions {
  readonly full?: boolean;
}

/** `pgsilo doctor`: each check as soon as it is known, grouped by what it is about. */
export async function doctor(
  invocation: Invocation,
  file: string,
  { full = false }: DoctorOptions,
): Promise<number> {
  const { out, json, quiet, style, signal } = invocation;
  return withPipeline(file, invocation, async (pipeline, read) => {
    const checks: Diagnosis[] = [];
    let area: string | undefined;
    for await (const check of diagnose(pipeline, { signal, trySink: tryPromises(read, { full }) })) {
      checks.push(check);
      if (json || (quiet && check.status === 'ok')) continue;
      if (check.area !== area)
        await out.write(`${area === undefined ? '' : '\n'}${style.bold(check.area)}\n`);
      area = check.area;
      await out.write(checkText(check, invocation));
    }
    const count = (status: Diagnosis['status']): number =>
      checks.filter((check) => check.status === status).length;
    const failed = count('failed') > 0;
    if (json) {
      const shown = checks.map((check) => ({ ...check, ...redacted(check) }));
      await out.json({ pipeline: pipeline.name, status: failed ? 'failed' : 'ok', checks: shown });
    } else if (!quiet || failed) {
      const warnings = count('warning') > 0 ? `, ${formatCount(count('warning'), 'warning')}` : '';
      const verdict = failed ? style.red(`${count('failed')} failed`) : style.green('all good');
      await out.write(`\n${formatCount(checks.length, 'check')}: ${verdict}${warnings}\n`);
    }
    return failed ? 1 : 0;
  });
}

function redacted({ message, hint }: Diagnosis): { message: string; hint?: string } {
  return { message: redact(message), ...(hint === undefined ? {} : { hint: redact(hint) }) };
}

const nameWidth = 18;
const indent = 2 + 'warning'.length + 2 + nameWidth + 2;

function checkText(check: Diagnosis, { style, out }: Invocation): string {
  const marks = {
    ok: style.green('ok     '),
    warning: style.yellow('warning'),
    failed: style.red('failed '),
  };
  const { message, hint } = redacted(check);
  const { name, promise, reason } = check;
  const width = out.width === undefined ? Infinity : Math.max(20, out.width - indent);
  const wrap = (text: string): string[] => wrapText(printableText(text).trimEnd(), width, 'words');
  // The names of promises are longer than those of checks.
  const [label, found] = promise === undefined ? [name, message] : ['broken promise', `${name}: ${message}`];
  const lines = [
    ...wrap(found),
    ...(promise === undefined ? [] : wrap(`promise: ${promise}`)),
    ...(reason === undefined ? [] : wrap(`reason: ${reason}`)),
    ...(hint === undefined ? [] : wrap(hint).map((line) => style.cyan(line))),
  ];
  return `  ${marks[check.status]}  ${fitWidth(printable(label), nameWidth, true)}  ${lines.join(`\n${' '.repeat(indent)}`)}\n`;
}
