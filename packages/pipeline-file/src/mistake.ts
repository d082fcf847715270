import { styleText } from 'node:util';
import { PgsiloError } from '@pgsilo/plugin';
import type { ErrorCode } from '@pgsilo/plugin';

/** One thing that is wrong in a pipeline file. Holds no secret: values of secret options are blotted out, filled-in values never shown. */
export interface Mistake {
  readonly code: Extract<ErrorCode, 'config.invalid' | 'plugin.unknown' | 'plugin.invalid'>;
  /** Path of the file that wrote it, relative to the working directory where it lies below that. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Which option: `sinks[1].bucket`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** What to do: `did you mean "bucket"?` */
  readonly hint?: string;
  /** The lines around it with a caret; empty when there is no text to show. */
  readonly frame: string;
}

/** Thrown with every mistake of a pipeline at once. The code is `config.invalid` unless all mistakes are of one other code. */
export class PipelineFileError extends PgsiloError {
  readonly mistakes: readonly Mistake[];

  constructor(mistakes: readonly Mistake[], cause?: unknown, hint?: string) {
    super(commonCode(mistakes), summary(mistakes), {
      hint: hint ?? 'pgsilo validate FILE shows each mistake with its place',
      ...(cause === undefined ? {} : { cause }),
    });
    this.mistakes = mistakes;
  }
}

function commonCode(mistakes: readonly Mistake[]): Mistake['code'] {
  const codes = new Set(mistakes.map((mistake) => mistake.code));
  return codes.size === 1 ? mistakes[0]!.code : 'config.invalid';
}

function summary(mistakes: readonly Mistake[]): string {
  const [first, ...others] = mistakes;
  if (!first) return 'the pipeline file is invalid';
  const more = others.length > 0 ? ` (and ${others.length} more)` : '';
  return `${headline(first)}${more}`;
}

function place(mistake: Mistake): string {
  return `${mistake.file}:${mistake.line}:${mistake.column}`;
}

function headline(mistake: Mistake): string {
  const path = mistake.path === '' ? '' : `${mistake.path}: `;
  return `${place(mistake)} ${path}${mistake.message}`;
}

/** Mistakes as a person reads them on a terminal, each with place, frame and hint; no newline at the end. */
export function formatMistakes(mistakes: readonly Mistake[], options: { readonly color: boolean }): string {
  const style = (format: Parameters<typeof styleText>[0], text: string): string =>
    options.color ? styleText(format, text, { validateStream: false }) : text;
  return mistakes
    .map((mistake) => {
      const path = mistake.path === '' ? '' : `${style('bold', mistake.path)}: `;
      const lines = [`${style('cyan', place(mistake))} ${path}${style('red', mistake.message)}`];
      for (const line of mistake.frame === '' ? [] : mistake.frame.split('\n')) {
        lines.push(/^(?:>|\s+\| +\^)/.test(line) ? line : style('dim', line));
      }
      if (mistake.hint !== undefined) lines.push(`  ${style('yellow', mistake.hint)}`);
      return lines.join('\n');
    })
    .join('\n\n');
}
