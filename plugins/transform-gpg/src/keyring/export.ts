import { PgsiloError } from '@pgsilo/plugin';
import type { KeyExport } from '@pgsilo/plugin';
import type { KeyringFolder } from './keyring-folder.ts';

/** Adds to a folder the keys of another that it lacks. A key that is destroyed in one of them stays, or becomes, destroyed in the target. */
export async function exportKeys(
  from: KeyringFolder,
  to: KeyringFolder,
  units?: readonly string[],
): Promise<KeyExport> {
  const report = { added: 0, destroyed: 0, present: 0 };
  const lists = units
    ? units.map((unit) => () => from.keysOf(unit))
    : (await from.unitFolders()).map((folder) => () => from.keysIn(folder));
  for (const list of lists) {
    const keys = await list();
    const [first] = keys;
    if (first === undefined) continue;
    const there = await to.keysOf(first.unit);
    for (const record of keys) {
      const known = there.find(({ generation }) => generation === record.generation);
      if (known === undefined) {
        if (await to.add(await from.read(record))) report.added += 1;
      } else if (known.fingerprint !== record.fingerprint) {
        throw new PgsiloError(
          'transform.key-missing',
          `${from.path} and ${to.path} hold different keys of the unit ${JSON.stringify(record.unit)}, generation ${record.generation}`,
          { hint: 'Two keyrings were used for one pipeline. Keep both: backups need the keys of either.' },
        );
      } else if (record.destroyed && (known.destroyed === undefined || known.privateHere)) {
        await to.entomb(known, record.destroyed);
        report.destroyed += 1;
      } else if (record.privateHere && !known.privateHere && !known.destroyed) {
        throw new PgsiloError(
          'transform.key-missing',
          `${to.path} holds the key ${known.fingerprint} of the unit ${JSON.stringify(record.unit)} without its private half`,
          { hint: 'Remove the folder of that key there, and export again.' },
        );
      } else report.present += 1;
    }
  }
  return report;
}
