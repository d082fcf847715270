import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { LineCounter } from 'yaml';

/** Bytes; a pipeline file is written by hand. */
export const largestFile: number = 1_048_576;

/** A piece of a file's text: offsets in UTF-16 units, `end` not included. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One file's text, and what is known about which pieces of it may be shown. */
export class SourceFile {
  readonly path: string;
  readonly folder: string;
  /** How people see the path. */
  readonly shown: string;
  readonly text: string;
  readonly lines: LineCounter = new LineCounter();
  /** Where values stand; undefined while the text has not been parsed, or could not be. */
  values: Range[] | undefined;
  /** Values of secret options. */
  readonly hidden: Range[] = [];
  /** Values of options that are known not to be secret. */
  readonly known: Range[] = [];

  constructor(file: string, text: string) {
    this.path = file;
    this.folder = path.dirname(file);
    this.shown = shownPath(file);
    this.text = text;
    this.lines.addNewLine(0);
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1))
      this.lines.addNewLine(end + 1);
  }
}

/** A place in a file. */
export interface Place extends Range {
  readonly file: SourceFile;
}

function shownPath(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative === '' || relative.startsWith('..') || path.isAbsolute(relative) ? file : relative;
}

/** Why a text could not be read, as the end of a sentence. */
export class UnreadableText extends Error {
  override readonly name = 'UnreadableText';
}

/** Reads a regular file of at most `largest` bytes as UTF-8. Never waits for a pipe or a device. Throws {@link UnreadableText}. */
export async function readText(file: string, largest: number): Promise<string> {
  const bytes = await readBytes(file, largest);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UnreadableText('it is not UTF-8 text', { cause: error });
  }
}

async function readBytes(file: string, largest: number): Promise<Uint8Array> {
  try {
    // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    if (stat.isDirectory()) throw new UnreadableText('it is a folder');
    if (!stat.isFile()) throw new UnreadableText('it is not a regular file');
    const buffer = Buffer.alloc(largest + 1);
    let length = 0;
    while (length <= largest) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) return buffer.subarray(0, length);
      length += bytesRead;
    }
    throw new UnreadableText(`it is larger than ${largest} bytes`);
  } catch (error) {
    if (error instanceof UnreadableText) throw error;
    throw new UnreadableText(reasonOf(error), { cause: error });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a folder',
  ELOOP: 'its symbolic links go in a circle',
  ENAMETOOLONG: 'the name is too long',
  ERR_INVALID_ARG_VALUE: 'the name is not valid',
};

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  return reasons[code] ?? code;
}
