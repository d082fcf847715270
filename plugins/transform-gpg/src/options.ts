import { secret } from '@pgsilo/plugin';
import type { Secret } from '@pgsilo/plugin';
import { z } from 'zod';

type Files = z.ZodDefault<z.ZodArray<z.ZodString>>;
type OptionalSecret = z.ZodOptional<z.ZodType<Secret, string>>;

export const options: z.ZodObject<
  {
    recipients: Files;
    passphrase: OptionalSecret;
    decryptKeys: Files;
    decryptPassphrase: OptionalSecret;
    decryptWith: z.ZodDefault<z.ZodEnum<{ keys: 'keys'; gpg: 'gpg' }>>;
    perUnit: z.ZodDefault<z.ZodBoolean>;
    keyring: z.ZodOptional<z.ZodObject<{ path: z.ZodString; copies: Files }, z.core.$strict>>;
    wrapFor: Files;
    signWith: z.ZodOptional<z.ZodString>;
    signPassphrase: OptionalSecret;
  },
  z.core.$strict
> = z.strictObject({
  recipients: files({
    description:
      'Files with the public keys to encrypt to. Whoever has the private half of one of them can read.',
    example: ['ops.asc'],
  }),
  passphrase: secret({
    description: 'Encrypts with a passphrase, which also decrypts; beside `recipients`, either will do.',
    example: '${env:PGSILO_PASSPHRASE}',
  }).optional(),
  decryptKeys: files({
    description:
      'Files with the private keys that decrypt. Only a machine that restores or verifies needs them.',
    example: ['ops-private.asc'],
  }),
  decryptPassphrase: secret({
    description: 'Opens the private keys of `decryptKeys`, where they are protected.',
    example: '${file:/run/secrets/ops-passphrase}',
  }).optional(),
  decryptWith: z.enum(['keys', 'gpg']).default('keys').meta({
    description: '`keys`: those of `decryptKeys`. `gpg`: the program of that name, with its agent or a card.',
    example: 'gpg',
  }),
  perUnit: z.boolean().default(false).meta({
    description:
      'A key pair of its own for each unit, made at its first backup; destroying it makes all its backups unreadable.',
    example: true,
  }),
  keyring: z
    .strictObject({
      path: z.string().min(1).meta({
        description: 'Folder that keeps the keys of the units. Whoever loses it loses every backup.',
        example: 'keys/',
      }),
      copies: files({
        description: 'Folders on other machines, mounted here, that get a copy of each new key.',
        example: ['/mnt/vault/keys'],
      }),
    })
    .optional()
    .meta({
      description: "Where the units' keys are kept, each private half encrypted for `wrapFor`.",
      example: { path: 'keys/' },
    }),
  wrapFor: files({
    description:
      "Files with the operators' public keys, for which the private halves of the units' keys are encrypted.",
    example: ['ops.asc'],
  }),
  signWith: z.string().min(1).optional().meta({
    description: "File with the private key that signs the receipt when a unit's keys are destroyed.",
    example: 'ops-sign.asc',
  }),
  signPassphrase: secret({
    description: 'Opens the private key of `signWith`, where it is protected.',
    example: '${file:/run/secrets/sign-passphrase}',
  }).optional(),
});

export type Options = z.output<typeof options>;

function files(about: { description: string; example: readonly string[] }): Files {
  return z.array(z.string().min(1)).default([]).meta(about);
}
