import type { FailedHook } from '@pgsilo/engine';
import { errorCodes, redact } from '@pgsilo/plugin';
import type { ErrorCode, PgsiloError } from '@pgsilo/plugin';
import { printableText } from './terminal/printable.ts';
import type { Style } from './terminal/style.ts';

/** An error as data: of a run's record, of a report, or a {@link PgsiloError} itself. */
export interface ShownError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** An error for `--json`, with secrets blotted out once more. */
export function errorDocument(error: ShownError): { code: ErrorCode; message: string; hint?: string } {
  const hint = error.hint === undefined ? {} : { hint: redact(error.hint) };
  return { code: error.code, message: redact(error.message), ...hint };
}

/** A hook that failed, for `--json`. */
export function failedHookDocument({ hook, error }: FailedHook): object {
  return { hook, error: errorDocument(error) };
}

/** An error for people: what happened, what to do next, and its code. */
export function errorText(error: PgsiloError, style: Style, debug: boolean): string {
  const cause = causeText(error);
  const lines = [
    labelled(style.red('error'), error.message),
    ...(cause === undefined || debug ? [] : [labelled(style.dim('cause'), cause)]),
    labelled(style.cyan(' next'), error.hint ?? errorCodes[error.code].docs),
    labelled(style.dim(' code'), error.code),
  ];
  if (debug) lines.push(style.dim(stackText(error)));
  return lines.join('\n');
}

/** An error in a cell of a table: message and code, and below them what to do next. */
export function errorCell({ code, message, hint }: ShownError): string {
  const next = hint === undefined ? '' : `\n${hint}`;
  return printableText(redact(`${message} (${code})${next}`));
}

function labelled(label: string, text: string): string {
  return `${label}  ${printableText(redact(text)).trimEnd().replaceAll('\n', '\n       ')}`;
}

const longestCause = 1500;
const mostCauses = 5;

/** What the causes say that the message does not. */
function causeText(error: PgsiloError): string | undefined {
  // The message says it all; the cause is a library's way to say the same.
  if (error.code === 'usage.invalid' || error.code === 'aborted') return undefined;
  const said = [error.message];
  let { cause } = error;
  for (let depth = 0; depth < mostCauses && cause instanceof Error; depth += 1) {
    // By lines: SDKs begin with the reason, which is in the message by now, and go on with the request's number.
    const news = cause.message.split('\n').filter((line) => !said.some((text) => text.includes(line.trim())));
    if (news.length > 0) said.push(news.join('\n'));
    cause = cause.cause;
  }
  const text = said.slice(1).join('\n');
  if (text === '') return undefined;
  return text.length > longestCause ? `${text.slice(0, longestCause)}…` : text;
}

function stackText(error: Error): string {
  const stacks: string[] = [];
  let each: unknown = error;
  for (let depth = 0; depth <= mostCauses && each !== undefined; depth += 1) {
    stacks.push(each instanceof Error ? (each.stack ?? each.message) : String(each));
    each = each instanceof Error ? each.cause : undefined;
  }
  return printableText(redact(stacks.join('\ncaused by: ')));
}
