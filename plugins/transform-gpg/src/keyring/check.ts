import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CheckResult } from '@pgsilo/plugin';
import type { Keyring } from './keyring.ts';
import type { KeyringFolder, KeyRecord } from './keyring-folder.ts';

/** Read and write for anybody but the owner. */
const forOthers = 0o077;

/** What `pgsilo doctor` says of the keyring and its copies. */
export async function* checkKeyring(keyring: Keyring): AsyncGenerator<CheckResult> {
  const name = 'keyring';
  const { main, copies } = keyring;
  const keys = await allKeys(main);
  const absent = keys.length === 0 ? await keyring.absentCopy() : undefined;
  if (absent) {
    yield {
      name,
      status: 'failed',
      message: `${main.path} has no keys and its copy ${absent.path} is not there: no key is made until it is`,
      hint: 'Mount it, or make its folder if there never was one.',
    };
  } else if (!(await main.exists())) {
    yield { name, status: 'ok', message: `${main.path} is not there yet: the first backup makes it` };
  } else if (((await stat(main.path)).mode & forOthers) !== 0) {
    yield {
      name,
      status: 'warning',
      message: `${main.path} is open to other users`,
      hint: `chmod 0700 ${JSON.stringify(main.path)}`,
    };
  } else {
    yield { name, status: 'ok', message: `${main.path}: ${keys.length} keys of ${unitsOf(keys).size} units` };
  }
  for (const { unit, destroyed, privateHere } of keys) {
    if (destroyed && privateHere) {
      const message = `the destruction of the keys of ${JSON.stringify(unit)} was interrupted, and a private half is still there`;
      yield { name, status: 'failed', message, hint: 'Run `pgsilo keys destroy` for it again.' };
    }
  }
  if (copies.length === 0) {
    yield {
      name: 'keyring copy',
      status: 'failed',
      message: `${main.path} is the only keyring: who loses it loses every backup`,
      hint: 'Name a folder on another machine in keyring.copies. Not in a bucket that locks objects: nothing could be destroyed there.',
    };
  }
  for (const copy of copies) yield await checkCopy(main, keys, copy);
}

async function checkCopy(
  main: KeyringFolder,
  keys: readonly KeyRecord[],
  copy: KeyringFolder,
): Promise<CheckResult> {
  const name = 'keyring copy';
  const failed = (message: string, hint: string): CheckResult => ({ name, status: 'failed', message, hint });
  if (!(await copy.exists())) return failed(`${copy.path} is not there`, 'Mount it.');
  if ((await diskOf(main.path)) === (await diskOf(copy.path)))
    return failed(`${copy.path} lies on the same disk as the keyring`, 'Mount a folder of another machine.');
  const there = new Map((await allKeys(copy)).map((key) => [key.fingerprint, key]));
  const here = new Map(keys.map((key) => [key.fingerprint, key]));
  for (const [folder, inIt, inOther] of [
    [copy, there, here],
    [main, here, there],
  ] as const) {
    const undead = [...inIt.values()].filter(
      ({ fingerprint, privateHere }) => privateHere && inOther.get(fingerprint)?.destroyed,
    );
    if (undead.length > 0)
      return failed(
        `${folder.path} still has keys that were destroyed, of ${namesOf(undead)}`,
        'Run `pgsilo keys destroy` for them again.',
      );
  }
  const lacking = keys.filter((key) => !key.destroyed && !there.get(key.fingerprint)?.privateHere);
  if (lacking.length > 0)
    return failed(
      `${copy.path} lacks ${lacking.length} of ${keys.length} keys`,
      `Run: pgsilo keys export FILE ${JSON.stringify(copy.path)}`,
    );
  const lost = [...there.keys()].filter((fingerprint) => !here.has(fingerprint));
  if (lost.length > 0)
    return {
      name,
      status: 'warning',
      message: `${copy.path} has ${lost.length} keys that ${main.path} lacks`,
      hint: 'If the keyring was lost, copy them back; if it is elsewhere, correct keyring.path.',
    };
  return { name, status: 'ok', message: `${copy.path} has all ${keys.length} keys` };
}

/** A keyring that is not there yet will lie on the disk on which it is made. */
async function diskOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.dev ?? diskOf(dirname(path));
}

async function allKeys(folder: KeyringFolder): Promise<readonly KeyRecord[]> {
  const keys: KeyRecord[] = [];
  for (const name of await folder.unitFolders()) keys.push(...(await folder.keysIn(name)));
  return keys;
}

function unitsOf(keys: readonly KeyRecord[]): ReadonlySet<string> {
  return new Set(keys.map(({ unit }) => unit));
}

function namesOf(keys: readonly KeyRecord[]): string {
  return [...unitsOf(keys)].map((unit) => JSON.stringify(unit)).join(', ');
}
