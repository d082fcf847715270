import type { z } from 'zod';
import { noMessage } from './issues.ts';
import type { FlatIssue } from './issues.ts';
import type { Located, LocatedScalar } from './located.ts';
import { quote } from './located.ts';
import { didYouMean } from './nearest.ts';
import type { Declared } from './option-schema.ts';

type Issue = z.core.$ZodIssue;

export interface Worded {
  readonly message: string;
  readonly hint?: string | undefined;
}

const most = 20;

/**
 * What is wrong with a value, in words.
 * @param secret the value may not be shown.
 */
export function wordIssue(flat: FlatIssue, node: Located, secret: boolean, declared: Declared): Worded {
  const { issue, forms } = flat;
  if (issue.message !== noMessage) return { message: ownWords(issue.message, node, secret) };
  if (node.kind === 'scalar' && node.value === null) return { message: 'there is no value' };
  if (forms) return unexpected(forms.map(expected).join(' or '), forms.flatMap(values), node, secret);
  switch (issue.code) {
    case 'invalid_type': {
      return {
        ...unexpected(expected(issue), [], node, secret),
        hint: typeHint(issue, flat, node, declared),
      };
    }
    case 'invalid_value':
      return unexpected(expected(issue), values(issue), node, secret);
    case 'invalid_union': {
      const options = 'options' in issue && Array.isArray(issue.options) ? (issue.options as unknown[]) : [];
      return unexpected(oneOf(options), options, node, secret);
    }
    case 'too_small':
    case 'too_big':
      return { message: bound(issue) };
    case 'invalid_format':
      return { message: formatOf(issue) };
    case 'not_multiple_of':
      return { message: `expected a multiple of ${issue.divisor}` };
    default:
      return { message: 'this value is not valid' };
  }
}

/** A message that a plugin wrote, without the value in it when that came from elsewhere or is secret. */
function ownWords(message: string, node: Located, secret: boolean): string {
  const first = message.trim() === '' ? 'this value is not valid' : message;
  return scalarsOf(node).reduce((text, scalar) => {
    if (!secret && !scalar.filled) return text;
    const shown = secret ? '[secret]' : scalar.filled!.written;
    const hidden = [String(scalar.value), ...(scalar.filled?.parts ?? [])];
    return hidden.some((value) => value !== '' && text.includes(value))
      ? hidden.filter((value) => value !== '').reduce((clean, value) => clean.split(value).join(shown), text)
      : text;
  }, first);
}

function scalarsOf(node: Located): LocatedScalar[] {
  if (node.kind === 'scalar') return [node];
  if (node.kind === 'list') return node.items.flatMap(scalarsOf);
  return [...node.entries.values()].flatMap((entry) => scalarsOf(entry.value));
}

function unexpected(wanted: string, candidates: readonly unknown[], node: Located, secret: boolean): Worded {
  const text = node.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
  const names = candidates.filter((candidate) => typeof candidate === 'string');
  return {
    message: `expected ${wanted}, not ${described(node, secret)}`,
    hint: text === undefined || secret ? undefined : didYouMean(text, names),
  };
}

/** What stands there, as far as it may be said: values that were filled in are not. */
export function described(node: Located, secret: boolean): string {
  if (node.kind === 'map') return 'options';
  if (node.kind === 'list') return 'a list';
  if (node.filled) return node.filled.whole ? `what ${quote(node.filled.written)} holds` : 'this text';
  if (typeof node.value === 'string') return secret ? 'this text' : quote(node.value);
  if (secret) return `a ${typeof node.value}`;
  return `the ${typeof node.value} ${String(node.value)}`;
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'options',
  record: 'names with values',
  null: 'nothing',
};

function expected(issue: Issue): string {
  if (issue.code === 'invalid_value') return oneOf(issue.values);
  if (issue.code === 'invalid_type') return typeNames[issue.expected] ?? issue.expected;
  if (issue.code === 'invalid_format') return `text of the form ${issue.pattern ?? issue.format}`;
  return 'another value';
}

function values(issue: Issue): readonly unknown[] {
  return issue.code === 'invalid_value' ? issue.values : [];
}

function oneOf(options: readonly unknown[]): string {
  const shown = options.slice(0, most).map((option) => JSON.stringify(option) ?? String(option));
  if (options.length > most) shown.push(`… (${options.length - most} more)`);
  return shown.length > 2 ? `one of ${shown.join(', ')}` : shown.join(' or ');
}

const truths: Readonly<Record<string, string>> = { yes: 'true', on: 'true', no: 'false', off: 'false' };

/** What to write instead, where a value is of another type than is wanted. */
function typeHint(
  issue: z.core.$ZodIssueInvalidType,
  flat: FlatIssue,
  node: Located,
  declared: Declared,
): string | undefined {
  if (node.kind !== 'scalar' || node.filled) return undefined;
  const { file, start, end } = node.place;
  const written = file.text.slice(start, end);
  if (issue.expected === 'boolean') {
    const meant = truths[written.toLowerCase()];
    return meant === undefined ? undefined : `write ${meant}`;
  }
  if (issue.expected === 'object' && declared.names.includes('use') && typeof node.value === 'string') {
    return `write { use: ${quote(node.value)} }`;
  }
  // YAML read a number or a truth value where text is wanted: 0123, 1.10, true.
  if (issue.expected !== 'string' || typeof node.value === 'string') return undefined;
  if (!declared.takesText(written)) return declared.about(String(flat.path.at(-1)));
  return declared.secret ? 'put it in quotes' : `put it in quotes: ${quote(written)}`;
}

const counted: Readonly<Record<string, readonly [string, string]>> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
  set: ['entry', 'entries'],
  object: ['option', 'options'],
};

function bound(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const limit = issue.code === 'too_small' ? issue.minimum : issue.maximum;
  const words = counted[issue.origin];
  if (issue.code === 'too_small' && words && Number(limit) === 1) {
    return issue.origin === 'string' ? 'the text is empty' : `expected at least one ${words[0]}`;
  }
  const unit = words ? ` ${words[Number(limit) === 1 ? 0 : 1]}` : '';
  const side = issue.code === 'too_small' ? 'least' : 'most';
  if (issue.exact === true) return `expected exactly ${limit}${unit}`;
  if (issue.inclusive === false) return `expected ${side === 'least' ? 'more' : 'less'} than ${limit}${unit}`;
  return `expected at ${side} ${limit}${unit}`;
}

const formatNames: Readonly<Record<string, string>> = {
  url: 'a URL such as https://example.org',
  email: 'an e-mail address',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  datetime: 'a date and time such as 2026-11-21T02:00:00Z',
  date: 'a date such as 2026-11-21',
  time: 'a time such as 02:00:00',
  uuid: 'a UUID',
};

function formatOf(issue: z.core.$ZodIssueInvalidStringFormat): string {
  const name = formatNames[issue.format];
  if (name !== undefined) return `expected ${name}`;
  const detail = issue as { prefix?: unknown; suffix?: unknown; includes?: unknown };
  if (typeof detail.prefix === 'string') return `expected text that begins with ${quote(detail.prefix)}`;
  if (typeof detail.suffix === 'string') return `expected text that ends with ${quote(detail.suffix)}`;
  if (typeof detail.includes === 'string') return `expected text that holds ${quote(detail.includes)}`;
  if (issue.pattern !== undefined) return `expected text of the form ${issue.pattern}`;
  return `expected text of the format ${issue.format}`;
}
