import { resolve } from 'node:path';
import { unitKeysOf } from '@pgsilo/engine';
import type { PgsiloError, UnitKey } from '@pgsilo/plugin';
import { errorCell, errorDocument } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { formatCount, formatTime } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';
import { renderTable } from '../terminal/table.ts';

/** `pgsilo keys list`. Exits 1 when a key is lost or cannot be read, or its destruction was interrupted. */
export async function listKeys(
  invocation: Invocation,
  file: string,
  units: readonly string[],
): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const unreadable: Unreadable[] = [];
    const named = units.length > 0 ? units : undefined;
    const keys = await (
      await unitKeysOf(pipeline)
    ).list(named, (unit, error) => unreadable.push({ unit, error }));
    if (invocation.json) {
      const errors = unreadable.map(({ unit, error }) => ({ unit, error: errorDocument(error) }));
      await invocation.out.json({ pipeline: pipeline.name, keys, unreadable: errors });
    } else await invocation.out.write(listText({ units, keys, unreadable }, invocation));
    const wrong = keys.some(({ state, destroyed }) => state === 'lost' || destroyed?.unfinished);
    return wrong || unreadable.length > 0 ? 1 : 0;
  });
}

/** A unit whose keys cannot be read, and why. */
interface Unreadable {
  readonly unit: string;
  readonly error: PgsiloError;
}

/** `pgsilo keys rotate`. */
export async function rotateKeys(
  invocation: Invocation,
  file: string,
  units: readonly string[],
): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const unitKeys = await unitKeysOf(pipeline);
    const keys: UnitKey[] = [];
    for (const unit of units) {
      const key = await unitKeys.rotate(unit, pipeline.clock.now());
      keys.push(key);
      if (!invocation.json && !invocation.quiet)
        await invocation.out.write(
          `rotated  ${printable(unit)}  key ${key.generation}, ${key.fingerprint}\n`,
        );
    }
    if (invocation.json) await invocation.out.json({ pipeline: pipeline.name, keys });
    return 0;
  });
}

/** `pgsilo keys export`. */
export async function exportKeys(
  invocation: Invocation,
  {
    file,
    folder,
    units,
  }: { readonly file: string; readonly folder: string; readonly units: readonly string[] },
): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const to = resolve(folder);
    const keys = await unitKeysOf(pipeline);
    const report = await keys.export(to, units.length > 0 ? units : undefined);
    if (invocation.json) await invocation.out.json({ pipeline: pipeline.name, folder: to, ...report });
    else if (!invocation.quiet) {
      const { added, destroyed, present } = report;
      const marked = destroyed > 0 ? `, ${destroyed} destroyed there as well` : '';
      await invocation.out.write(
        `exported  ${formatCount(added, 'key')} to ${printable(to)}, ${present} there before${marked}\n`,
      );
    }
    return 0;
  });
}

interface Listed {
  /** Those that were asked for; none: all. */
  readonly units: readonly string[];
  readonly keys: readonly UnitKey[];
  readonly unreadable: readonly Unreadable[];
}

function listText({ units, keys, unreadable }: Listed, { style, out }: Invocation): string {
  const found = new Set([...keys, ...unreadable].map(({ unit }) => unit));
  if (found.size === 0 && units.length === 0)
    return 'There are no keys yet: the first backup of a unit makes its key.\n';
  const without = units.filter((unit) => !found.has(unit));
  const rows = [
    ...keys.map((key) => [
      printable(key.unit),
      String(key.generation),
      formatTime(key.created),
      key.state === 'lost' || key.destroyed ? { text: stateText(key), colour: style.red } : stateText(key),
      key.fingerprint,
    ]),
    ...unreadable.map(({ unit, error }) => [
      printable(unit),
      '',
      '',
      { text: errorCell(error), colour: style.red },
      '',
    ]),
  ];
  const table = rows.length === 0 ? '' : renderTable(columns, rows, { style, width: out.width });
  return table + without.map((unit) => `The unit ${printable(unit)} has no keys.\n`).join('');
}

function stateText({ state, destroyed }: UnitKey): string {
  if (!destroyed) return state === 'lost' ? 'lost: in no folder of the keyring' : state;
  const when = `destroyed ${formatTime(destroyed.at)} by ${printable(destroyed.by)}`;
  return destroyed.unfinished ? `${when}, interrupted: run it again` : when;
}

const columns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'key', align: 'right' },
  { title: 'made' },
  { title: 'state', wrap: 'words' },
  { title: 'fingerprint', wrap: 'anywhere' },
] as const;
