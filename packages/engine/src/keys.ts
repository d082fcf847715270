import { randomInt } from 'node:crypto';
import { encodeUnit } from '@pgsilo/plugin';

// Keys of format 1 (docs/format.md). Every key that reaches a sink is made here.
export { encodeUnit };

/** `20261121T020000Z`: whole seconds, UTC. */
export function timeStamp(time: Date): string {
  return time
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '');
}

/** Of an id's 24 bits behind the second: the first ten are milliseconds, the rest is by chance. */
const chanceBits = 14;

/** `20261121T020000Z-7f3a9c`: sorts as time does, to the millisecond, so that of two backups of one second the newest is known. */
export function newRunId(time: Date): string {
  const tail = time.getUTCMilliseconds() * 2 ** chanceBits + randomInt(2 ** chanceBits);
  return `${timeStamp(time)}-${tail.toString(16).padStart(6, '0')}`;
}

/**
 * Id of the backups that one attempt of a job makes: the run's own at the first attempt, with `.2`, `.3` … after a retry.
 * So whatever a killed run left of a unit lies under one known prefix.
 */
export function backupId(run: string, attempt: number): string {
  return attempt === 1 ? run : `${run}.${attempt}`;
}

export const backupIdForm: RegExp = /^\d{8}T\d{6}Z-[0-9a-f]{6}(?:\.\d+)?$/;
/** The run that made a backup. */
export const runOf = (backup: string): string => backup.split('.')[0]!;

/** When a run began, to the second, by its own id; NaN for what is no id. */
export function timeOfId(id: string): number {
  return Date.parse(id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-.*$/, '$1-$2-$3T$4:$5:$6Z'));
}

/** An artifact's file name with its suffixes, as a manifest may name it: nothing that leads out of the backup's folder. */
export const artifactKeyForm: RegExp = /^[a-z0-9][a-z0-9.-]{0,120}$/;

export const runsPrefix = (pipeline: string): string => `${pipeline}/runs/`;
export const unitsPrefix = (pipeline: string): string => `${pipeline}/units/`;
export const unitPrefix = (pipeline: string, unit: string): string =>
  `${unitsPrefix(pipeline)}${encodeUnit(unit)}/`;
export const backupPrefix = (pipeline: string, unit: string, backup: string): string =>
  `${unitPrefix(pipeline, unit)}${backup}/`;
export const manifestKey = (pipeline: string, unit: string, backup: string): string =>
  `${backupPrefix(pipeline, unit, backup)}manifest.json`;
export const runBeginKey = (pipeline: string, run: string): string =>
  `${runsPrefix(pipeline)}${run}.begin.json`;
export const runSummaryKey = (pipeline: string, run: string): string => `${runsPrefix(pipeline)}${run}.json`;
/** Where doctors try sinks out, each under an id of its own: neither runs nor the catalog look there. */
export const doctorPrefix = (pipeline: string): string => `${pipeline}/doctor/`;
export const notesPrefix = (pipeline: string): string => `${pipeline}/notes/`;
/** The folder of a backup, by its unit's key. */
export const backupFolder = (pipeline: string, unitKey: string, backup: string): string =>
  `${unitsPrefix(pipeline)}${unitKey}/${backup}/`;
export const notesFolder = (pipeline: string, unitKey: string, backup: string): string =>
  `${notesPrefix(pipeline)}${unitKey}/${backup}/`;
export const notePrefix = (pipeline: string, unit: string, backup: string): string =>
  `${notesPrefix(pipeline)}${encodeUnit(unit)}/${backup}/`;
export const noteKey = (
  pipeline: string,
  unit: string,
  backup: string,
  stamp: string,
  kind: string,
): string => `${notePrefix(pipeline, unit, backup)}${stamp}-${kind}.json`;

export interface UnitObject {
  readonly unitKey: string;
  readonly backup: string;
  readonly file: string;
}

/** What the key of a backup's object says; undefined for any other object. */
export function parseUnitObject(pipeline: string, key: string): UnitObject | undefined {
  const prefix = unitsPrefix(pipeline);
  if (!key.startsWith(prefix)) return undefined;
  const [unitKey, backup, file, ...rest] = key.slice(prefix.length).split('/');
  if (!unitKey || !backup || !file || rest.length > 0 || !backupIdForm.test(backup)) return undefined;
  return { unitKey, backup, file };
}

/** What a manifest's key says; undefined for any other object. */
export function parseManifestKey(
  pipeline: string,
  key: string,
): { readonly unitKey: string; readonly backup: string } | undefined {
  const parsed = parseUnitObject(pipeline, key);
  return parsed?.file === 'manifest.json' ? { unitKey: parsed.unitKey, backup: parsed.backup } : undefined;
}
