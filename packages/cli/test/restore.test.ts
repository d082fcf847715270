import { beforeAll, describe, expect, it } from 'vitest';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documentOf, pgsilo, pipelineFile } from './pgsilo.ts';

let folder: string;
let file: string;
let id: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pgsilo-cli-'));
  file = await pipelineFile(folder, { source: { live: ['acme'] }, more: { scratch: 'scratch' } });
  id = documentOf(await pgsilo(['backup', file, '--json'])).runs[0].report.run;
  return () => rm(folder, { recursive: true, force: true });
});

describe('pgsilo restore', () => {
  it('says what it will do, does it, and says where it is and what next', async () => {
    const ended = await pgsilo(['restore', file, 'acme', '--to', 'acme_check']);
    expect(ended.exit).toBe(0);
    expect(ended.stdout).toMatch(
      new RegExp(
        `^acme {2}${id}\\n[^]*- Create the database acme_check\\.[^]*\\nrestored {2}acme {2}${id} {2}in .*\\n` +
          ' {2}is now {4}acme_check\\n {2}compared {2}14 tables, 2,310 rows\\n {2}steps {5}fetch the archive +\\d+ ms[^]*next {6}psql acme_check\\n$',
      ),
    );
    expect(ended.stderr).toMatch(/info {3}restore the data: \d+ ms/);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(['store']));
    expect(await readdir(join(folder, 'scratch'))).toEqual([]);
  });

  it('with --json prints one document', async () => {
    const ended = await pgsilo(['restore', file, 'acme', '--replace', '--yes', '--json']);
    expect(ended.exit).toBe(0);
    expect(documentOf(ended)).toMatchObject({
      unit: 'acme',
      backup: id,
      sink: 'local',
      target: 'acme',
      kept: 'acme_before',
      compared: '14 tables, 2,310 rows',
      safetyBackup: { sinks: ['local'], missingFrom: [] },
      failedHooks: [],
      steps: [
        { name: 'fetch the archive' },
        { name: 'back up what will be replaced' },
        { name: 'create the database' },
        { name: 'restore the data' },
      ],
    });
  });

  it.each([
    [['--replace'], 'restore.refused', 'there is no terminal to ask on'],
    [['--to', 'acme'], 'restore.target-exists', 'the database acme exists'],
    [['--at', '2026-01-01T00:00:00Z'], 'restore.refused', 'the nearest backup holds'],
    [['--before', '2026-01-01T00:00:00'], 'usage.invalid', 'has no time zone'],
    [
      ['--backup', 'x', '--before', '2026-01-01'],
      'usage.invalid',
      '--backup and --before exclude each other',
    ],
    [
      ['--before', '2026-01-01', '--at', '2026-01-01T00:00:00Z'],
      'usage.invalid',
      '--before and --at exclude',
    ],
    [['--lsn', '16/B374D848'], 'restore.refused', 'cannot be brought back to position 16/B374D848'],
    [['--xid', '810'], 'restore.refused', 'cannot be brought back to the end of transaction 810'],
    [['--restore-point', `it's "x"`], 'restore.refused', String.raw`restore point "it's \"x\""`],
    [['--latest', '--timeline', '2'], 'restore.refused', 'cannot be brought back to the end of what was'],
    [['--immediate'], 'restore.refused', 'cannot be brought back to the end of the backup'],
    [['--lsn', '1/2', '--xid', '5'], 'usage.invalid', '--lsn and --xid exclude each other'],
    [['--immediate', '--latest'], 'usage.invalid', '--immediate and --latest exclude each other'],
    [['--lsn', '0/123456789'], 'usage.invalid', 'is no position in the write-ahead log'],
    [['--lsn', '0x5'], 'usage.invalid', 'is no position in the write-ahead log'],
    // PostgreSQL would take it for one of base 8, and the other for 1.
    [['--xid', '0810'], 'usage.invalid', 'is no number of a transaction'],
    [['--xid', '4294967297'], 'usage.invalid', 'is no number of a transaction'],
    [['--xid', '18446744073709551621'], 'usage.invalid', 'is no number of a transaction'],
    [['--restore-point', ''], 'usage.invalid', 'is empty'],
    [['--restore-point', 'ü'.repeat(32)], 'usage.invalid', 'has 64 bytes'],
    [['--restore-point', 'two\nlines'], 'usage.invalid', 'holds control characters'],
    [['--timeline', '2'], 'usage.invalid', '--timeline is given without a goal'],
    [['--timeline', '2', '--immediate'], 'usage.invalid', '--timeline is given with --immediate'],
    [['--timeline', '0', '--latest'], 'usage.invalid', '--timeline "0" is none'],
    [['--timeline', '0x2', '--latest'], 'usage.invalid', '--timeline "0x2" is none'],
    [['--no-safety-backup'], 'usage.invalid', '--no-safety-backup is given without --replace'],
    [['--drop-old'], 'usage.invalid', '--drop-old is given without --replace'],
    [['--replace', '--yes', '--to', 'x'], 'usage.invalid', '--replace and --to exclude each other'],
    [['--to-server', 'env:NOT_SET'], 'usage.invalid', '"NOT_SET", which is not set'],
    [['--to-server', 'postgres://u:geheim@h'], 'usage.invalid', '--to-server holds a password'],
    [['--from', 'nowhere'], 'usage.invalid', 'has no sink "nowhere"'],
  ])('refuses %j', async (parameters, code, message) => {
    const ended = await pgsilo(['restore', file, 'acme', ...parameters, '--json']);
    expect(ended.exit).toBe(2);
    expect(documentOf(ended).error).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(ended.stderr).not.toContain('geheim');
  });

  it('does not even read the backup when --replace could not be confirmed', async () => {
    const ended = await pgsilo(['restore', file, 'acme', '--replace']);
    expect(ended).toMatchObject({ exit: 2, stdout: '' });
    expect(ended.stderr).not.toContain('fetch the archive');
  });

  it('exits 1 when there is no such backup, and names what is near', async () => {
    const ended = await pgsilo(['restore', file, 'acm']);
    expect(ended.exit).toBe(1);
    expect(ended.stderr).toContain('Near: acme.');
    const before = await pgsilo(['restore', file, 'acme', '--before', '2020-01-01T00:00:00Z']);
    expect(before.exit).toBe(1);
    expect(before.stderr).toContain('catalog.not-found');
  });
});
