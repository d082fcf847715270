import { secret, size } from '@pgsilo/plugin';
import type { Secret } from '@pgsilo/plugin';
import { z } from 'zod';
import { largestBlock, smallestBlock } from './block-plan.ts';

type OptionalSecret = z.ZodOptional<z.ZodType<Secret, string>>;

export const options: z.ZodObject<
  {
    container: z.ZodString;
    prefix: z.ZodDefault<z.ZodString>;
    account: z.ZodOptional<z.ZodString>;
    endpoint: z.ZodOptional<z.ZodURL>;
    connectionString: OptionalSecret;
    key: OptionalSecret;
    sas: OptionalSecret;
    blockSize: z.ZodPrefault<z.ZodType<number, string>>;
  },
  z.core.$strict
> = z.strictObject({
  container: z
    .string()
    .regex(
      /^(?=.{3,63}$)(\$root|[a-z0-9]+(-[a-z0-9]+)*)$/,
      "expected a container's name: a-z, 0-9 and single hyphens",
    )
    .meta({ description: 'Container that holds the objects; it must be there.', example: 'backups' }),
  prefix: z
    .string()
    .regex(
      /^([A-Za-z0-9_=.-]*[A-Za-z0-9_=-](\/|$))*$/,
      'expected folders like nightly/eu, without a dot at their end',
    )
    .max(400)
    .default('')
    .meta({ description: 'Folders in the container under which the objects lie.', example: 'nightly/eu' }),
  account: z
    .string()
    .regex(/^[a-z0-9]{3,24}$/, 'expected the name of a storage account: 3 to 24 of a-z and 0-9')
    .optional()
    .meta({
      description: 'Name of the storage account, unless `connectionString` says it.',
      example: 'acmebackups',
    }),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .meta({
      description:
        "URL of the account's blob service, for other clouds, private endpoints and emulators; `https://<account>.blob.core.windows.net` otherwise.",
      example: 'https://acmebackups.blob.core.chinacloudapi.cn',
    }),
  connectionString: secret({
    description: 'Everything in one string, as the portal shows it.',
    example: '${env:AZURE_STORAGE_CONNECTION_STRING}',
  }).optional(),
  key: secret({
    description:
      'Access key of the account. Without a key, `sas` or `connectionString`, the identity of the machine is used, for which @azure/identity must be installed.',
    example: '${env:AZURE_STORAGE_KEY}',
  }).optional(),
  sas: secret({
    description:
      'Shared access signature for the container, with the rights to read, add, create, write, delete and list.',
    example: '${env:AZURE_STORAGE_SAS_TOKEN}',
  }).optional(),
  blockSize: size({
    description:
      'Size of the first blocks of a large object; later ones grow, as far as `limits.memory` allows, because an object has at most 50,000.',
    example: '16MiB',
  })
    .refine((bytes) => bytes >= smallestBlock && bytes <= largestBlock, 'expected 64KiB to 4000MiB')
    .prefault('8MiB'),
});

export type Options = z.output<typeof options>;
