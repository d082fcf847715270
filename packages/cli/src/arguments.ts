import { parseTime } from '@pgsilo/engine';
import { parseDuration, PgsiloError } from '@pgsilo/plugin';

/** Options that cut a run to some units. */
export interface SelectionOptions {
  readonly only?: readonly string[];
  readonly where?: readonly string[];
}

interface Selection {
  readonly only?: readonly string[];
  readonly where?: readonly { readonly label: string; readonly value: string }[];
}

/** `--only` and `--where` as the engine takes them. Throws `usage.invalid`. */
export function selectionOf({ only, where }: SelectionOptions): Selection {
  const pairs = where?.map((text) => {
    const [label, value] = pairOf('--where', text);
    return { label, value };
  });
  return { ...(only ? { only } : {}), ...(pairs ? { where: pairs } : {}) };
}

/** `--label` as the engine takes it. Throws `usage.invalid`, also when a label is given twice. */
export function labelsOf(texts: readonly string[] = []): Record<string, string> {
  const pairs = texts.map((text) => pairOf('--label', text));
  const twice = pairs.find(([name], index) => pairs.findIndex(([other]) => other === name) !== index);
  if (twice)
    throw new PgsiloError('usage.invalid', `--label gives ${JSON.stringify(twice[0])} more than once`);
  return Object.fromEntries(pairs);
}

function pairOf(option: string, text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new PgsiloError('usage.invalid', `${option} ${JSON.stringify(text)} is not of the form name=value`, {
    hint: `Write it like \`${option} plan=demo\`.`,
  });
}

/** `--wait` in milliseconds. Throws `usage.invalid`. */
export function durationOf(option: string, text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined) return milliseconds;
  throw new PgsiloError('usage.invalid', `${option} ${JSON.stringify(text)} is no duration`, {
    hint: 'Write it like 30s, 10m or 1h.',
  });
}

/** What `--pin` and `--until` ask for. Throws `usage.invalid`. */
export function pinOf(
  reason: string,
  until: string | undefined,
  timezone: string | undefined,
  now: Date,
): { reason: string; until?: Date } {
  if (reason.trim() === '') {
    throw new PgsiloError('usage.invalid', 'the reason of a pin is empty', {
      hint: 'Say why it is held: people will ask.',
    });
  }
  if (until === undefined) return { reason };
  const time = parseTime(until, timezone);
  if (time <= now)
    throw new PgsiloError('usage.invalid', `--until ${JSON.stringify(until)} lies in the past`);
  return { reason, until: time };
}
