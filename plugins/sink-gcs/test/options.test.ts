import { recordingLogger } from '@pgsilo/testkit';
import { describe, expect, it } from 'vitest';
import plugin from '../src/index.ts';
import { bucket } from './gcs.ts';

const key = 'projects/acme/locations/europe/keyRings/backups/cryptoKeys/main';
const accepts = (options: object): boolean => plugin.options.safeParse({ bucket, ...options }).success;

describe('options', () => {
  it.each([
    {},
    { prefix: 'nightly/eu' },
    { prefix: 'nightly/eu/' },
    { chunkSize: '256KiB' },
    { chunkSize: '2GiB' },
    { storageClass: 'ARCHIVE' },
    { kmsKeyName: key },
    { apiEndpoint: 'http://127.0.0.1:4443' },
    { projectId: 'example.com:acme' },
  ])('are as documented: %j', (options) => {
    expect(accepts(options)).toBe(true);
  });

  it.each([
    { bucket: 'Backups' },
    { bucket: 'b' },
    { prefix: '/nightly' },
    { prefix: '../nightly' },
    { prefix: 'a//b' },
    { chunkSize: '255KiB' },
    { chunkSize: '3GiB' },
    { storageClass: 'GLACIER' },
    { kmsKeyName: 'main' },
    { kmsKeyName: `${key}/cryptoKeyVersions/1` },
    { apiEndpoint: 'ftp://127.0.0.1' },
    { region: 'eu' },
  ])('are refused where the service would refuse them: %j', (options) => {
    expect(accepts(options)).toBe(false);
  });

  it.each([
    ['COLDLINE', 30, ['retention removes backups after 30 days, and COLDLINE is paid for 90 at least']],
    ['NEARLINE', 30, []],
    ['ARCHIVE', undefined, []],
    [undefined, 1, []],
  ])(
    'warn when %s is paid for longer than %s days of retention',
    async (storageClass, keptDays, warnings) => {
      const log = recordingLogger();
      const options = plugin.options.parse({ bucket, ...(storageClass ? { storageClass } : {}) });
      const setup = { pipeline: 'test', folder: '/', log, ...(keptDays === undefined ? {} : { keptDays }) };
      await (await plugin.create(options, setup)).close();
      expect(log.entries.map(({ message }) => message)).toEqual(warnings);
    },
  );
});
