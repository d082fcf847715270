import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Findings } from './findings.ts';
import { fixedKeys } from './fixed-options.ts';
import type { FixedOptions } from './fixed-options.ts';
import { hookNames } from './hooks.ts';
import { nodeAt, placeAt, quote, toPlain, without } from './located.ts';
import type { Located, LocatedMap } from './located.ts';

/** Reports sinks of one name. `names` has undefined where a name is not known. */
export function checkSinkNames(
  root: LocatedMap,
  names: readonly (string | undefined)[],
  findings: Findings,
): void {
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    if (name === undefined) continue;
    if (seen.has(name)) {
      const sink = ['sinks', index];
      const written = nodeAt(root, [...sink, 'name']) ? 'name' : 'use';
      findings.add({
        at: placeAt(root, [...sink, written]),
        path: [...sink, written],
        message: `two sinks are called ${quote(name)}`,
        hint: 'tell them apart by "name", for example name: offsite',
      });
    }
    seen.add(name);
  }
}

/** Reports a prune that would have nothing to go by. */
export function checkPrune(root: LocatedMap, fixed: FixedOptions, findings: Findings): void {
  const { prune, retention, sinks } = fixed;
  if (prune === 'never' || retention || sinks.some((sink) => sink.retention)) return;
  findings.add({
    at: placeAt(root, ['prune']),
    path: ['prune'],
    message: 'there is no retention: all backups would be kept',
    hint: 'say what to keep, for example retention: { last: 3, daily: 30, monthly: 12 }',
  });
}

/** Reports a pipeline whose backups might go nowhere. */
export function checkAccept(root: LocatedMap, { sinks }: FixedOptions, findings: Findings): void {
  if (sinks.some((sink) => !sink.accept)) return;
  findings.add({
    at: placeAt(root, ['sinks', 0, 'accept']),
    path: ['sinks', 0, 'accept'],
    message: 'every sink takes only some backups: most runs would have nowhere to go',
    hint: 'leave "accept" out of one sink, which then gets every backup',
  });
}

/** Reports variables that a hook wants and that are not set: it would fail when it is needed. */
export function checkHooks(
  root: LocatedMap,
  { hooks = {} }: FixedOptions,
  env: Readonly<Record<string, string | undefined>>,
  findings: Findings,
): void {
  for (const name of hookNames)
    for (const [index, hook] of (hooks[name] ?? []).entries())
      for (const [at, variable] of hook.env.entries()) {
        if (env[variable] !== undefined) continue;
        const path = ['hooks', name, index, 'env', at];
        const message = `the environment variable ${quote(variable)} is not set`;
        findings.add({ at: placeAt(root, path), path, message, hint: 'set it, or take it out of the list' });
      }
}

/** Reports what is allowed and probably not meant. */
export function warn(root: LocatedMap, folder: string, warnings: Findings): void {
  warnScratch(root, folder, warnings);
  const sinks = nodeAt(root, ['sinks']);
  if (sinks?.kind !== 'list') return;
  for (const [index, sink] of sinks.items.entries()) {
    const twin = sinks.items
      .slice(0, index)
      .findIndex((other) => isDeepStrictEqual(place(other), place(sink)));
    if (twin === -1) continue;
    warnings.add({
      at: placeAt(root, ['sinks', index, 'use']),
      path: ['sinks', index],
      message: `this is the same place as sinks[${twin}]`,
      hint: 'two sinks are worth something when they fail apart',
    });
  }
}

function warnScratch(root: LocatedMap, folder: string, warnings: Findings): void {
  const inside = nodeAt(root, ['scratch', 'folder']);
  const scratch = inside ?? nodeAt(root, ['scratch']);
  if (scratch?.kind !== 'scalar' || typeof scratch.value !== 'string' || path.isAbsolute(scratch.value))
    return;
  const absolute = scratch.filled ? '' : `: it is ${quote(path.resolve(folder, scratch.value), 200)}`;
  warnings.add({
    at: scratch.place,
    path: inside ? ['scratch', 'folder'] : ['scratch'],
    message: `a relative path counts from the folder of the pipeline file${absolute}`,
    hint: 'write the absolute path, and choose a disk that has room for the largest backup',
  });
}

/** Where a sink stores, as far as the file says it. */
function place(sink: Located): unknown {
  return toPlain(
    sink.kind === 'map'
      ? without(sink, (key) => fixedKeys.sink.some((own) => own === key && own !== 'use'))
      : sink,
  );
}
