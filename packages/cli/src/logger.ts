import type { Logger } from '@pgsilo/plugin';
import { redact } from '@pgsilo/plugin';
import { logLevels } from './log-level.ts';
import type { LogLevel } from './log-level.ts';
import type { Style } from './terminal/style.ts';
import { printableText } from './terminal/printable.ts';

type Fields = Readonly<Record<string, unknown>>;

interface TextLook {
  readonly style: Style;
  /** Whether each line begins with the time; on a terminal it would only take space. */
  readonly times: boolean;
  readonly now: () => Date;
}

/** Lines for people: `warn   message  key=value`. */
export function textLogger(level: LogLevel, print: (line: string) => void, look: TextLook): Logger {
  return makeLogger(level, (name, message, fields) => {
    const time = look.times ? [look.style.dim(look.now().toISOString())] : [];
    const about = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => look.style.dim(`${key}=${fieldText(value)}`));
    const parts = [...time, colourOf(look.style)[name](name.padEnd(5)), printableText(message), ...about];
    print(parts.join('  '));
  });
}

/** One JSON object a line, by pino. */
export async function jsonLogger(level: LogLevel, print: (line: string) => void): Promise<Logger> {
  const { pino } = await import('pino');
  const log = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => print(line.trimEnd()) },
  );
  return makeLogger(level, (name, message, fields) => log[name](fields, message));
}

function makeLogger(
  level: LogLevel,
  write: (level: LogLevel, message: string, fields: Fields) => void,
): Logger {
  const least = logLevels.indexOf(level);
  const at = (name: LogLevel) => (message: string, fields?: Fields) => {
    if (logLevels.indexOf(name) >= least) write(name, redact(message), clean(fields ?? {}, 0) as Fields);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const deepest = 4;

/** Plain data without secrets, whatever a plugin logs: errors become their messages, depth is bounded. */
function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return redact(value.message);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= deepest) return '…';
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return redact(String(value));
  if (Array.isArray(value)) return value.map((each) => clean(each, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [redact(key), clean(each, depth + 1)]),
  );
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const quoted = typeof value === 'string' && /^$|[\s"=]/.test(text) ? JSON.stringify(text) : text;
  return printableText(quoted).replaceAll('\n', '\\n');
}

function colourOf(style: Style): Record<LogLevel, (text: string) => string> {
  return { debug: style.dim, info: style.cyan, warn: style.yellow, error: style.red };
}
