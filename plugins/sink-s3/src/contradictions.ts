import { PgsiloError } from '@pgsilo/plugin';
import type { Options } from './options.ts';
import { classes, isKnownClass, nearestClass } from './storage-classes.ts';

/** Throws `config.invalid` for options that contradict each other or say too little. */
export function mustAgree(options: Options): void {
  const { accessKeyId, secretAccessKey, sessionToken, profile, encryption, kmsKey, objectLock } = options;
  if (accessKeyId !== undefined && secretAccessKey === undefined)
    throw contradiction(
      'accessKeyId',
      'an access key without its secret opens nothing',
      'Give `secretAccessKey` too.',
    );
  if (secretAccessKey !== undefined && accessKeyId === undefined)
    throw contradiction(
      'secretAccessKey',
      'a secret needs the access key that it belongs to',
      'Give `accessKeyId` too.',
    );
  if (sessionToken !== undefined && accessKeyId === undefined)
    throw contradiction(
      'sessionToken',
      'a token needs the access key that it belongs to',
      'Give `accessKeyId` and `secretAccessKey` too.',
    );
  if (profile !== undefined && accessKeyId !== undefined)
    throw contradiction('profile', 'both a profile and an access key are given', 'Give one of them.');
  if (kmsKey !== undefined && !encryption.startsWith('aws:kms'))
    throw contradiction(
      'kmsKey',
      'a key is given and no encryption that uses it',
      'Add `encryption: aws:kms`.',
    );
  if (objectLock !== undefined && objectLock.mode !== 'bucket' && objectLock.days === undefined)
    throw contradiction(
      'objectLock.mode',
      `it is not said how long ${objectLock.mode} holds an object`,
      'Give `days`, or `mode: bucket`.',
    );
  if (objectLock?.mode === 'bucket' && objectLock.days !== undefined)
    throw contradiction(
      'objectLock.days',
      'the bucket says how long its own lock holds',
      'Leave out `days`, or give GOVERNANCE or COMPLIANCE.',
    );
  mustBeClass(options);
  mustBeWarm(options);
}

/** Amazon's classes are known; another store may have one of its own by any name. */
function mustBeClass({ storageClass, endpoint, provider }: Options): void {
  if ((endpoint !== undefined && provider !== 'aws') || isKnownClass(storageClass)) return;
  const near = nearestClass(storageClass);
  throw contradiction(
    'storageClass',
    `Amazon has no storage class ${storageClass}`,
    near === undefined ? 'Leave it out for STANDARD.' : `Did you mean ${near}?`,
  );
}

function mustBeWarm({ storageClass, allowColdRestore }: Options): void {
  const hours = classes[storageClass]?.hoursToRead ?? 0;
  if (hours === 0 || allowColdRestore) return;
  throw contradiction(
    'storageClass',
    `out of ${storageClass} a restore waits for up to ${hours} hours`,
    'Choose GLACIER_IR, which is read at once, or say `allowColdRestore: true`.',
  );
}

function contradiction(option: string, message: string, hint: string): PgsiloError {
  return new PgsiloError('config.invalid', message, { hint, option });
}
