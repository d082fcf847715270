import type { z } from 'zod';
import type { Path } from './located.ts';

/** One of zod's issues, flat: no union, no record key, its path counted from the section's root. */
export interface FlatIssue {
  readonly path: Path;
  readonly kind: 'unknown' | 'value' | 'key';
  readonly issue: z.core.$ZodIssue;
  /** For `unknown`: the key. */
  readonly key?: string;
  /** For a union none of whose forms fits: what each form expects. */
  readonly forms?: readonly z.core.$ZodIssue[];
}

/** Given to zod as the message of every issue: what still carries it has no message of the plugin's own. */
export const noMessage = '\u0000pgsilo';

type Issue = z.core.$ZodIssue;

/** Zod's issues with unions resolved to the form that was most likely meant. */
export function flatten(issues: readonly Issue[], prefix: Path = []): FlatIssue[] {
  return issues.flatMap((issue) => flattenOne(issue, [...prefix, ...(issue.path as Path)]));
}

function flattenOne(issue: Issue, path: Path): FlatIssue[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], kind: 'unknown' as const, issue, key }));
  }
  if (issue.code === 'invalid_key') return [{ path, kind: 'key', issue: ownMessage(issue) }];
  if (issue.code === 'invalid_element') return flatten(issue.issues, path);
  if (issue.code === 'invalid_union' && issue.message === noMessage && issue.errors.length > 0) {
    return flattenUnion(issue, issue.errors, path);
  }
  return [{ path, kind: 'value', issue }];
}

/** The message that the key's own schema gave. */
function ownMessage(issue: z.core.$ZodIssueInvalidKey): Issue {
  const inner = issue.issues.find((nested) => nested.message !== noMessage);
  return inner && issue.message === noMessage ? { ...issue, message: inner.message } : issue;
}

function flattenUnion(issue: Issue, forms: readonly (readonly Issue[])[], path: Path): FlatIssue[] {
  // A form whose very type or value differs was not meant; nor one whose `kind: "a"` differs.
  const fitting = forms.filter(
    (form) => !form.some((nested) => nested.path.length === 0 && isMismatch(nested)),
  );
  const meant = fitting.filter((form) => !form.some((nested) => nested.code === 'invalid_value'));
  const candidates = meant.length > 0 ? meant : fitting;
  if (candidates.length > 0) {
    const nearest = candidates.reduce((best, form) => (form.length < best.length ? form : best));
    return flatten(nearest, path);
  }
  const expectations = forms.flatMap((form) => form.filter((nested) => nested.path.length === 0));
  return [{ path, kind: 'value', issue, forms: expectations.flatMap(innerForms) }];
}

function innerForms(issue: Issue): Issue[] {
  return issue.code === 'invalid_union' ? issue.errors.flatMap((form) => form.flatMap(innerForms)) : [issue];
}

function isMismatch(issue: Issue): boolean {
  if (issue.code === 'invalid_type' || issue.code === 'invalid_value') return true;
  return issue.code === 'invalid_union' && issue.errors.some((form) => form.some(isMismatch));
}

/** Every issue at a path, those inside unions included: what types would have been accepted there. */
export function expectations(issues: readonly Issue[], prefix: Path = []): { path: Path; issue: Issue }[] {
  return issues.flatMap((issue) => {
    const path = [...prefix, ...(issue.path as Path)];
    if (issue.code === 'invalid_union') return issue.errors.flatMap((form) => expectations(form, path));
    if (issue.code === 'invalid_element') return expectations(issue.issues, path);
    return [{ path, issue }];
  });
}
