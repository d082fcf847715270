import { createHash } from 'node:crypto';

/**
 * Keys of format 1 (docs/format.md). Every key that reaches a sink is made here.
 *
 * A unit's name is hostile input, so it is encoded: lower-case letters, digits, `-`, `.` and `_` stand for themselves, every other byte of its UTF-8 is `=` and two hex digits.
 * Upper case is encoded too, because `Acme` and `acme` are one name on a case-insensitive file system. What Windows or a shell would read a meaning into at a name's
 * beginning or end is encoded as well. A long name keeps its beginning and ends in `==` and a hash.
 */
const plain = /^[a-z0-9._-]$/;
const notFirst = /^[._-]$/;
const reserved = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/;
const longestEncoded = 120;
const keptOfLong = 80;

/** The key segment of a unit's name: injective, safe on case-insensitive file systems and in URLs, at most 120 characters. */
export function encodeUnit(name: string): string {
  if (name.startsWith('@')) return `_${encodeName(name.slice(1))}`;
  return encodeName(name);
}

function encodeName(name: string): string {
  const bytes = [...Buffer.from(name, 'utf8')];
  const parts = bytes.map((byte) => {
    const character = String.fromCharCode(byte);
    return plain.test(character) ? character : escapeByte(byte);
  });
  if (parts.length > 0 && (notFirst.test(parts[0]!) || reserved.test(name))) parts[0] = escapeByte(bytes[0]!);
  if (parts.at(-1) === '.') parts[parts.length - 1] = escapeByte(0x2e);
  const encoded = parts.join('');
  if (encoded.length <= longestEncoded) return encoded;
  let kept = '';
  for (const part of parts) {
    if (kept.length + part.length > keptOfLong) break;
    kept += part;
  }
  return `${kept}==${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
}

function escapeByte(byte: number): string {
  return `=${byte.toString(16).padStart(2, '0')}`;
}

/** `20261121T020000Z`: sorts as time does. Whole seconds, UTC. */
export function timeStamp(time: Date): string {
  return time
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '');
}

/** `20261121T020000Z-7f3a9c`. */
export function newRunId(time: Date, random: string): string {
  return `${timeStamp(time)}-${random}`;
}

/**
 * Id of the backups that one attempt of a job makes: the run's own at the first attempt, with `.2`, `.3` … after a retry.
 * So whatever a killed run left of a unit lies under one known prefix.
 */
export function backupId(run: string, attempt: number): string {
  return attempt === 1 ? run : `${run}.${attempt}`;
}

export const backupIdForm: RegExp = /^\d{8}T\d{6}Z-[0-9a-f]{6}(?:\.\d+)?$/;
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
export const notePrefix = (pipeline: string, unit: string, backup: string): string =>
  `${notesPrefix(pipeline)}${encodeUnit(unit)}/${backup}/`;
export const noteKey = (
  pipeline: string,
  unit: string,
  backup: string,
  stamp: string,
  kind: string,
): string => `${notePrefix(pipeline, unit, backup)}${stamp}-${kind}.json`;

/** What a manifest's key says; undefined for any other object. */
export function parseManifestKey(
  pipeline: string,
  key: string,
): { readonly unitKey: string; readonly backup: string } | undefined {
  const prefix = unitsPrefix(pipeline);
  if (!key.startsWith(prefix)) return undefined;
  const [unitKey, backup, file, ...rest] = key.slice(prefix.length).split('/');
  if (!unitKey || !backup || file !== 'manifest.json' || rest.length > 0 || !backupIdForm.test(backup))
    return undefined;
  return { unitKey, backup };
}
