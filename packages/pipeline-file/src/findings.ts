import { redact } from '@pgsilo/plugin';
import { codeFrame } from './frame.ts';
import { pathText, printable } from './located.ts';
import type { Path } from './located.ts';
import type { Mistake } from './mistake.ts';
import type { Place } from './source-file.ts';

/** A mistake before its frame is drawn: that waits until all secrets of the file are known. */
export interface Finding {
  readonly at: Place;
  readonly path: Path;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly code?: Mistake['code'];
  readonly cause?: unknown;
}

/** Most mistakes that are shown; a file with more of them is not a pipeline file. */
const most = 100;

/** What was found so far while a pipeline is read. */
export class Findings {
  readonly #found: Finding[] = [];
  readonly #seen = new Set<string>();
  #dropped = 0;

  add(finding: Finding): void {
    const identity = `${finding.at.file.path}\0${finding.at.start}\0${finding.message}`;
    if (this.#seen.has(identity)) return;
    if (this.full) {
      this.#dropped += 1;
      return;
    }
    this.#seen.add(identity);
    this.#found.push(finding);
  }

  /** What is added from now on is only counted: no need to think about hints. */
  get full(): boolean {
    return this.#found.length >= most;
  }

  get empty(): boolean {
    return this.#found.length === 0;
  }

  /** The first error underneath, for `cause`. */
  get cause(): unknown {
    return this.#found.find((finding) => finding.cause !== undefined)?.cause;
  }

  /** In the order of files read, then of lines. */
  mistakes(): Mistake[] {
    const files = [...new Set(this.#found.map((finding) => finding.at.file))];
    const ordered = this.#found.toSorted(
      (a, b) => files.indexOf(a.at.file) - files.indexOf(b.at.file) || a.at.start - b.at.start,
    );
    const mistakes = ordered.map(toMistake);
    const last = mistakes.at(-1);
    if (last && this.#dropped > 0) {
      mistakes[mistakes.length - 1] = {
        ...last,
        hint: `${last.hint === undefined ? '' : `${last.hint} `}(${this.#dropped} more mistakes are not shown)`,
      };
    }
    return mistakes;
  }
}

function toMistake(finding: Finding): Mistake {
  const { file } = finding.at;
  const position = file.lines.linePos(Math.min(finding.at.start, file.text.length));
  return {
    code: finding.code ?? 'config.invalid',
    file: file.shown,
    line: Math.max(1, position.line),
    column: Math.max(1, position.col),
    path: pathText(finding.path),
    message: clean(finding.message),
    ...(finding.hint === undefined ? {} : { hint: clean(finding.hint) }),
    frame: redact(codeFrame(finding.at)),
  };
}

function clean(text: string): string {
  return printable(redact(text).replaceAll(/\s*\n\s*/g, ' '));
}
