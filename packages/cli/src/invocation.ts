import type { Logger } from '@pgsilo/plugin';
import { jsonLogger, textLogger } from './logger.ts';
import type { LogFormat, LogLevel } from './log-level.ts';
import { Output } from './output.ts';
import { Screen } from './terminal/screen.ts';
import { styleFor, wantsColor } from './terminal/style.ts';
import type { Style } from './terminal/style.ts';

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly logFormat?: LogFormat;
  readonly logLevel?: LogLevel;
  readonly progress?: boolean;
  readonly color?: boolean;
}

/** What a command works with besides its own arguments: where it writes, and how it is interrupted. */
export interface Invocation {
  /** Standard output: results. */
  readonly out: Output;
  /** Standard error: progress, logs and errors. */
  readonly screen: Screen;
  readonly log: Logger;
  readonly logFormat: LogFormat;
  readonly debug: boolean;
  readonly signal: AbortSignal;
  readonly json: boolean;
  readonly quiet: boolean;
  /** `live`: drawn on a terminal. `lines`: a log line now and then. */
  readonly progress: 'live' | 'lines' | 'none';
  /** Colours of standard output. */
  readonly style: Style;
  /** Colours of standard error. */
  readonly errorStyle: Style;
  /** Whether a person can be asked. */
  readonly interactive: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  now(): Date;
}

export async function openInvocation(options: CommonOptions, signal: AbortSignal): Promise<Invocation> {
  const { stdout, stderr, stdin, env } = process;
  const { json = false, quiet = false, logFormat = 'text', progress = true, color = true } = options;
  const level = options.logLevel ?? (quiet ? 'warn' : 'info');
  const now = (): Date => new Date();
  const screen = new Screen(stderr);
  const errorStyle = styleFor(wantsColor(stderr, color, env));
  const print = (line: string): void => screen.print(line);
  const log =
    logFormat === 'json'
      ? await jsonLogger(level, print)
      : textLogger(level, print, { style: errorStyle, times: !stderr.isTTY, now });
  const live = stderr.isTTY && logFormat === 'text' && env['TERM'] !== 'dumb';
  return {
    out: new Output(stdout),
    screen,
    log,
    logFormat,
    debug: level === 'debug',
    signal,
    json,
    quiet,
    progress: quiet || !progress ? 'none' : live ? 'live' : 'lines',
    style: styleFor(wantsColor(stdout, color, env)),
    errorStyle,
    interactive: stdin.isTTY && stderr.isTTY,
    env,
    now,
  };
}
