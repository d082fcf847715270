import { expect, test } from 'vitest';
import { describeOptions } from '@pgsilo/plugin';
import { options } from '../src/options.ts';
import { makeTransform } from './setup.ts';

const keyring = { path: 'keys' };
const unit = { perUnit: true, keyring, wrapFor: ['ops.asc'] };

test('every option has a description and an example', () => {
  for (const row of describeOptions(options)) {
    expect(row.description).toMatch(/\.$/);
    expect(row.example).toBeDefined();
  }
});

test.each([
  ['recipients', {}],
  ['recipients', { decryptKeys: ['ops-private.asc'] }],
  ['recipients', { ...unit, recipients: ['ops.asc'] }],
  ['passphrase', { ...unit, passphrase: 'correct horse' }],
  ['keyring', { perUnit: true, wrapFor: ['ops.asc'] }],
  ['wrapFor', { perUnit: true, keyring }],
  ['wrapFor', { recipients: ['ops.asc'], wrapFor: ['ops.asc'] }],
  ['decryptKeys', { recipients: ['ops.asc'], decryptKeys: ['ops-private.asc'], decryptWith: 'gpg' }],
  ['decryptPassphrase', { recipients: ['ops.asc'], decryptPassphrase: 'correct horse' }],
  ['signWith', { recipients: ['ops.asc'], signWith: 'ops-sign.asc' }],
  ['signPassphrase', { ...unit, signPassphrase: 'correct horse' }],
])('options that contradict each other are refused, and %s is named: %j', async (option, wrong) => {
  await expect(makeTransform(wrong)).rejects.toMatchObject({ code: 'config.invalid', option });
});

test.each([
  { recipients: ['ops.asc'] },
  { passphrase: 'correct horse' },
  { recipients: ['ops.asc'], passphrase: 'correct horse', decryptWith: 'gpg' },
  { ...unit, signWith: 'ops-sign.asc', decryptWith: 'gpg' },
  { recipients: ['ops.asc'], keyring },
])('makes a transform of %j without looking at a file', async (chosen) => {
  expect((await makeTransform(chosen)).suffix).toBe('.gpg');
});

test.each([
  { recipients: 'ops.asc' },
  { recipients: [''] },
  { decryptWith: 'pgp' },
  { keyring: {} },
  { keys: [] },
])('refuses %j', (wrong) => {
  expect(options.safeParse(wrong).success).toBe(false);
});
