import { resolve } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import type { Setup, Transform } from '@pgsilo/plugin';
import type { Options } from './options.ts';

/** The options with absolute paths. */
export type Settings = Readonly<Options>;

export function createGpgTransform(options: Options, setup: Setup): Transform {
  mustAgree(options);
  const settings = settingsOf(options, setup);
  if (settings.keyring?.copies.includes(settings.keyring.path))
    throw wrong(
      'keyring.copies',
      'keyring.copies names the keyring itself, which is no copy of it',
      'Name a folder on another machine.',
    );
  // openpgp takes as long to load as all the rest of pgsilo, and most commands encrypt nothing.
  const loading = once(async () => new (await import('./cipher.ts')).Cipher(settings, setup.log));
  return {
    suffix: '.gpg',
    encode: async (body, about, context) => (await loading()).encode(body, about, context),
    async *decode(body, parameters, context) {
      yield* (await loading()).decode(body, parameters, context);
    },
    byHand: () => 'gpg --decrypt',
    async *check(context) {
      yield* (await import('./check.ts')).check(await loading(), context);
    },
    ...(settings.keyring === undefined
      ? {}
      : {
          keyFolders: [settings.keyring.path, ...settings.keyring.copies],
          unitKeys: once(async () => (await import('./open-unit-keys.ts')).openUnitKeys(await loading())),
        }),
  };
}

function settingsOf(options: Options, { folder }: Setup): Settings {
  const absolute = (file: string): string => resolve(folder, file);
  return {
    ...options,
    recipients: options.recipients.map(absolute),
    decryptKeys: options.decryptKeys.map(absolute),
    wrapFor: options.wrapFor.map(absolute),
    signWith: options.signWith === undefined ? undefined : absolute(options.signWith),
    keyring: options.keyring && {
      path: absolute(options.keyring.path),
      copies: options.keyring.copies.map(absolute),
    },
  };
}

function mustAgree(options: Options): void {
  const { recipients, passphrase, decryptKeys, decryptPassphrase, decryptWith } = options;
  const { perUnit, keyring, wrapFor, signWith, signPassphrase } = options;
  if (perUnit) {
    const defeat = 'with perUnit: it would read the backups of a unit whose keys were destroyed';
    if (recipients.length > 0)
      throw wrong('recipients', `recipients cannot be given ${defeat}`, 'Name the operators in wrapFor.');
    if (passphrase)
      throw wrong('passphrase', `passphrase cannot be given ${defeat}`, 'Name the operators in wrapFor.');
    if (!keyring)
      throw wrong(
        'keyring',
        'perUnit needs keyring, the folder that keeps the keys',
        'keyring: { path: keys/ }',
      );
    if (wrapFor.length === 0)
      throw wrong(
        'wrapFor',
        "perUnit needs wrapFor, the operators' public keys: nobody could read the backups",
        'wrapFor: [ops.asc]',
      );
  } else if (recipients.length === 0 && passphrase === undefined) {
    throw wrong('recipients', 'nothing says what to encrypt with', 'Give recipients, passphrase or perUnit.');
  }
  if (decryptWith === 'gpg' && decryptKeys.length > 0)
    throw wrong('decryptKeys', 'decryptKeys are not used with decryptWith: gpg', 'Leave one of them out.');
  if (decryptPassphrase && decryptKeys.length === 0)
    throw wrong(
      'decryptPassphrase',
      'decryptPassphrase opens nothing without decryptKeys',
      'Name the files in decryptKeys.',
    );
  // Left when perUnit is given up: keyring still reads the old backups, the others mean nothing.
  if (!perUnit && wrapFor.length > 0)
    throw wrong('wrapFor', 'wrapFor means nothing without perUnit', 'Did you mean recipients?');
  if (!keyring && signWith !== undefined)
    throw wrong('signWith', 'signWith means nothing without keyring', 'Leave it out.');
  if (signWith === undefined && signPassphrase)
    throw wrong(
      'signPassphrase',
      'signPassphrase opens nothing without signWith',
      'Name the file in signWith.',
    );
}

function wrong(option: string, message: string, hint: string): PgsiloError {
  return new PgsiloError('config.invalid', message, { option, hint });
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return () => (made ??= make());
}
