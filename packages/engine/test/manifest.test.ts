import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { sealDocument } from '../src/checksum.ts';
import { readManifest, writeManifest } from '../src/manifest.ts';
import type { Manifest } from '../src/manifest.ts';

const backup = '20261121T020000Z-7f3a9c';
const place = {
  key: `vigia/units/=41cme/${backup}/manifest.json`,
  pipeline: 'vigia',
  unitKey: '=41cme',
  backup,
};
const digest = '0'.repeat(64);
const manifest: Manifest = {
  format: 1,
  pipeline: 'vigia',
  unit: { name: 'Acme', labels: { plan: 'pro' }, origin: { database: 'acme_db' } },
  backup,
  run: backup,
  labels: {},
  startedAt: '2026-11-21T02:00:00.000Z',
  finishedAt: '2026-11-21T02:00:09.000Z',
  snapshotAt: '2026-11-21T02:00:01.000Z',
  pgsilo: '0.1.0',
  source: 'database-per-tenant',
  server: { version: '15.18' },
  tool: 'pg_dump 15.18',
  status: 'good',
  requires: [],
  about: { tables: 14 },
  artifacts: [
    {
      name: 'database.dump',
      format: 'pg-custom',
      key: 'database.dump.zst',
      bytes: 100,
      sha256: digest,
      storedBytes: 50,
      storedSha256: digest,
      transforms: [{ use: 'zstd', parameters: { blockSize: 1048576 } }],
    },
  ],
};

function refusal(bytes: Uint8Array, at = place): PgsiloError {
  try {
    readManifest(bytes, at);
  } catch (error) {
    if (error instanceof PgsiloError) return error;
    throw error;
  }
  throw new Error('it was read');
}

describe('a manifest', () => {
  it('is read back as it was written', () => {
    expect(readManifest(writeManifest(manifest), place)).toEqual(manifest);
  });

  it('is refused where it does not belong, by pipeline, unit or backup', () => {
    for (const other of [{ pipeline: 'orion' }, { unitKey: 'acme' }, { backup: '20261122T020000Z-7f3a9c' }]) {
      const error = refusal(writeManifest(manifest), { ...place, ...other });
      expect(error).toMatchObject({
        code: 'catalog.corrupt',
        message: expect.stringContaining('another backup'),
      });
      expect(error.message).toContain('"Acme"');
    }
  });

  it('of a later format is refused by name, with the version that made it, whatever else is in it', () => {
    const later = sealDocument({ format: 2, pgsilo: '3.4.5', chunks: [] });
    const error = refusal(later);
    expect(error.code).toBe('catalog.format-newer');
    expect(error.message).toContain('later pgsilo (3.4.5)');
    expect(error.message).toContain(place.key);
    expect(refusal(sealDocument({ format: 2 })).message).toContain('later pgsilo:');
  });

  it('altered in any byte is refused, also where it says which format it is', () => {
    const whole = writeManifest(manifest);
    for (let index = 0; index < whole.length; index += 1) {
      const altered = Buffer.from(whole);
      altered[index]! ^= 3;
      expect(refusal(altered).code, `byte ${index}`).toBe('catalog.corrupt');
    }
  });

  it.each([
    ['a field is missing', { tool: undefined }],
    [
      'an artifact leads out of the folder',
      { artifacts: [{ ...manifest.artifacts[0], key: '../../other/database.dump' }] },
    ],
    ['there is no artifact', { artifacts: [] }],
  ])('is refused when %s, however well it is sealed', (_what, change) => {
    expect(refusal(sealDocument({ ...manifest, ...change })).code).toBe('catalog.corrupt');
  });
});
