import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { documentOf, pgsilo, project } from './pgsilo.ts';

/** Names and types of everything in a document; of lists, what their items have in all. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf).reduce(merged, undefined) ?? 'empty';
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shapeOf(each)]));
}

function merged(a: unknown, b: unknown): unknown {
  return typeof a === 'object' && typeof b === 'object' ? { ...a, ...b } : (a ?? b);
}

it('docs/json.md shows what the commands print', { timeout: 300_000 }, async () => {
  const { folder, file } = await project({
    units: [
      { name: 'acme', labels: { plan: 'pro' } },
      { name: 'globex', status: 'missing' },
    ],
    source: { check: 'warning' },
    more: { transforms: [{ use: 'zstd' }] },
  });
  const wrong = join(folder, 'wrong.yaml');
  await writeFile(wrong, (await readFile(file, 'utf8')).replace('"local"', '"lokal"'));
  const two = join(folder, 'two.yaml');
  const described = JSON.parse(await readFile(file, 'utf8')) as { sinks: object[] };
  const kept = join(folder, 'kept.yaml');
  await writeFile(kept, JSON.stringify({ ...described, retention: { last: 1 } }));
  const proving = join(folder, 'proving.yaml');
  const checks = [{ name: 'there are users', sql: 'SELECT count(*) > 0 FROM app.users' }];
  await writeFile(proving, JSON.stringify({ ...described, checks, objectives: { rto: '4h', rpo: '1d' } }));
  described.sinks.push({ use: 'local', name: 'off-site', path: 'off-site' });
  await writeFile(two, JSON.stringify(described));
  const sealed = join(folder, 'sealed.yaml');
  const ops = join(import.meta.dirname, 'fixtures', 'ops.asc');
  const gpg = { use: 'gpg', perUnit: true, keyring: { path: 'keys' }, wrapFor: [ops] };
  await writeFile(sealed, JSON.stringify({ ...described, pipeline: 'sealed', transforms: [gpg] }));
  // oxlint-disable-next-line typescript/no-explicit-any
  const json = async (...parameters: string[]): Promise<any> =>
    documentOf(await pgsilo([...parameters, '--json'], { cwd: folder }));
  const backup = await json('backup', file, '--label', 'release=2.4.0', '--pin', 'before 2.4.0');
  const id: string = backup.runs[0].report.run;
  const prunedAfterAnother = async (): Promise<unknown> => {
    await json('backup', file);
    return json('prune', kept);
  };
  const ofKeys = async (): Promise<unknown[]> => {
    await json('backup', sealed);
    const listed = await json('keys', 'list', sealed);
    await json('keys', 'rotate', sealed, 'acme');
    const exported = await json('keys', 'export', sealed, join(folder, 'vault'));
    return [listed, exported, await json('keys', 'destroy', sealed, 'acme', '--also', file, '--dry-run')];
  };
  const real = [
    await json('restore', file, 'acme', '--to-server', 'env:NEW_SERVER'),
    backup,
    await json('validate', file, wrong),
    await json('doctor', file),
    await json('plan', kept),
    await json('list', file),
    await json('show', file, 'acme'),
    await json('pin', file, 'acme', id, '--reason', 'audit', '--until', '2999-01-01T00:00:00Z'),
    await json('unpin', file, 'acme', id),
    await prunedAfterAnother(),
    await json('copy', two, '--from', 'local', '--to', 'off-site'),
    ...(await ofKeys()),
    await json('verify', file, '--level', 'decode'),
    await json('verify', proving, '--level', 'restore'),
    await json('drill', proving),
    await json('restore', file, 'acme'),
    await json('plugins'),
    await json('plugins', 'local'),
  ];
  const text = await readFile(new URL('../../../docs/json.md', import.meta.url), 'utf8');
  const shown = [...text.matchAll(/^```json\n(.*?)^```$/gms)].map(([, block]) => JSON.parse(block!));
  expect(shown.map(shapeOf)).toEqual(real.map(shapeOf));
});
