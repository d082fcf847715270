import { PgsiloError, type ErrorCode } from '@pgsilo/plugin';

/** Something that stands in the way of a restore, found before anything was written. */
export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/** Names in one message; a dump may hold thousands. */
const mostNames = 20;

/** Throws all of them as one error, with the code of the first; returns when there is none. */
export function throwProblems(problems: readonly Problem[]): void {
  const [first] = problems;
  if (!first) return;
  const hints = [...new Set(problems.flatMap((problem) => problem.hint ?? []))];
  const message =
    problems.length === 1
      ? first.message
      : `${problems.length} things stand in the way:\n${problems.map((each) => `- ${each.message}`).join('\n')}`;
  throw new PgsiloError(first.code, message, hints.length > 0 ? { hint: hints.join('\n') } : {});
}

/** `a, b and 3 more` */
export function listed(names: readonly string[], most: number = mostNames): string {
  if (names.length <= most) return names.join(', ');
  return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
}
