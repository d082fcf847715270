import { size } from '@pgsilo/plugin';
import { z } from 'zod';
import { quantum } from './chunk-plan.ts';
import { leastDays } from './storage-classes.ts';
import type { StorageClass } from './storage-classes.ts';

const gibibyte = 1024 ** 3;

export const options: z.ZodObject<
  {
    bucket: z.ZodString;
    prefix: z.ZodDefault<z.ZodString>;
    keyFile: z.ZodOptional<z.ZodString>;
    projectId: z.ZodOptional<z.ZodString>;
    apiEndpoint: z.ZodDefault<z.ZodURL>;
    storageClass: z.ZodOptional<z.ZodEnum<{ [Name in StorageClass]: Name }>>;
    kmsKeyName: z.ZodOptional<z.ZodString>;
    chunkSize: z.ZodPrefault<z.ZodType<number, string>>;
  },
  z.core.$strict
> = z.strictObject({
  bucket: z
    .string()
    .regex(/^(?=.{3,222}$)[a-z0-9][a-z0-9._-]*[a-z0-9]$/, "expected a bucket's name: a-z, 0-9, - _ and .")
    .meta({ description: 'Bucket that holds the objects; it must be there.', example: 'acme-backups' }),
  prefix: z
    .string()
    .regex(
      /^([A-Za-z0-9_=.-]*[A-Za-z0-9_=-](\/|$))*$/,
      'expected folders like nightly/eu, without a dot at their end',
    )
    .max(500)
    .default('')
    .meta({ description: 'Folders in the bucket under which the objects lie.', example: 'nightly/eu' }),
  keyFile: z.string().min(1).optional().meta({
    description:
      'Credentials file of a service account, a user or a workload identity. Without it the application default credentials are used: GOOGLE_APPLICATION_CREDENTIALS, what `gcloud auth application-default login` left, or those of the machine.',
    example: '/etc/pgsilo/gcs.json',
  }),
  projectId: z
    .string()
    .regex(/^([a-z0-9.-]+:)?[a-z0-9-]+$/, 'expected the id or number of a project')
    .optional()
    .meta({
      description: 'Project that is billed for requests, where the bucket wants to be told.',
      example: 'acme-prod',
    }),
  apiEndpoint: z
    .url({ protocol: /^https?$/ })
    .default('https://storage.googleapis.com')
    .meta({
      description:
        'URL of the service, for private endpoints and emulators. With `http:` no credentials are looked for; only a `keyFile` is used.',
      example: 'https://storage.europe-west3.rep.googleapis.com',
    }),
  storageClass: z
    .enum(Object.keys(leastDays) as [StorageClass])
    .optional()
    .meta({
      description:
        'Class of the artifacts. What is small and read often (manifests and notes) is kept in STANDARD then. Without it all objects get the class of the bucket.',
      example: 'NEARLINE',
    }),
  kmsKeyName: z
    .string()
    .regex(
      /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/,
      'expected projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version',
    )
    .optional()
    .meta({
      description: 'Key of Cloud KMS that objects are encrypted with, instead of that of the bucket.',
      example: 'projects/acme/locations/europe/keyRings/backups/cryptoKeys/main',
    }),
  chunkSize: size({
    description:
      'Size of the chunks of a large object; smaller where `limits.memory` asks for it. Two are held in memory for each upload.',
    example: '32MiB',
  })
    .refine((bytes) => bytes >= quantum && bytes <= 2 * gibibyte, 'expected 256KiB to 2GiB')
    .prefault('16MiB'),
});

export type Options = z.output<typeof options>;
