import { secret, size } from '@pgsilo/plugin';
import type { Secret } from '@pgsilo/plugin';
import { z } from 'zod';
import { largestPart, mostParts, smallestPart } from './part-limits.ts';
import { providers } from './presets.ts';
import type { Provider } from './presets.ts';

type OptionalSecret = z.ZodOptional<z.ZodType<Secret, string>>;

/** How new objects are locked. */
export interface ObjectLock {
  /** `bucket`: as the bucket's own default says. */
  readonly mode: 'GOVERNANCE' | 'COMPLIANCE' | 'bucket';
  readonly days?: number | undefined;
}

export type Encryption = 'bucket' | 'AES256' | 'aws:kms' | 'aws:kms:dsse';

const endpoint: z.ZodOptional<z.ZodURL> = z
  .url({ protocol: /^https?$/ })
  .optional()
  .meta({
    description:
      "URL of a store that is not Amazon's, or of a private endpoint; without it the service in `region`.",
    example: 'https://s3.fr-par.scw.cloud',
  });

export const options: z.ZodObject<
  {
    bucket: z.ZodString;
    prefix: z.ZodDefault<z.ZodString>;
    region: z.ZodOptional<z.ZodString>;
    endpoint: z.ZodOptional<z.ZodURL>;
    provider: z.ZodOptional<z.ZodType<Provider, Provider>>;
    pathStyle: z.ZodOptional<z.ZodBoolean>;
    accessKeyId: z.ZodOptional<z.ZodString>;
    secretAccessKey: OptionalSecret;
    sessionToken: OptionalSecret;
    profile: z.ZodOptional<z.ZodString>;
    storageClass: z.ZodDefault<z.ZodString>;
    allowColdRestore: z.ZodDefault<z.ZodBoolean>;
    tags: z.ZodDefault<z.ZodType<Record<string, string>, Record<string, string>>>;
    encryption: z.ZodDefault<z.ZodType<Encryption, Encryption>>;
    kmsKey: z.ZodOptional<z.ZodString>;
    objectLock: z.ZodOptional<z.ZodType<ObjectLock, ObjectLock>>;
    partSize: z.ZodPrefault<z.ZodType<number, string>>;
    maxParts: z.ZodOptional<z.ZodNumber>;
    concurrency: z.ZodDefault<z.ZodNumber>;
    checksums: z.ZodOptional<z.ZodType<'always' | 'required', 'always' | 'required'>>;
  },
  z.core.$strict
> = z.strictObject({
  bucket: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/,
      "expected a bucket's name: 3 to 63 of a-z, 0-9, . and -",
    )
    .meta({ description: 'Bucket that holds the objects; it must be there.', example: 'acme-backups' }),
  prefix: z
    .string()
    .regex(
      /^([A-Za-z0-9_=.-]*[A-Za-z0-9_=-](\/|$))*$/,
      'expected folders like nightly/eu, without a dot at their end',
    )
    .max(400)
    .default('')
    .meta({ description: 'Folders in the bucket under which the objects lie.', example: 'nightly/eu' }),
  region: z
    .string()
    .regex(/^[a-z0-9-]{2,40}$/, 'expected a region like eu-central-1')
    .optional()
    .meta({
      description:
        'Region of the bucket; without it that of the environment or the profile, and us-east-1 where `endpoint` is given.',
      example: 'eu-central-1',
    }),
  endpoint,
  provider: z.enum(providers).optional().meta({
    description:
      'Who offers the store, which decides what `pathStyle`, `maxParts` and `checksums` are without a word; `aws`, or `other` where `endpoint` is given.',
    example: 'minio',
  }),
  pathStyle: z.boolean().optional().meta({
    description:
      "Whether the bucket stands in the URL's path and not in the name of its host; true for all providers but `aws`.",
    example: true,
  }),
  accessKeyId: z.string().min(1).optional().meta({
    description:
      "Access key. Without it the SDK's own search: environment, profiles, web identity (IRSA), container, instance.",
    example: '${env:AWS_ACCESS_KEY_ID}',
  }),
  secretAccessKey: secret({
    description: 'Secret of the access key.',
    example: '${env:AWS_SECRET_ACCESS_KEY}',
  }).optional(),
  sessionToken: secret({
    description:
      'Token of an access key that is valid for some hours. It cannot be renewed: better leave all three to the search.',
    example: '${env:AWS_SESSION_TOKEN}',
  }).optional(),
  profile: z.string().min(1).optional().meta({
    description: 'Profile in the files under ~/.aws that holds the credentials, or says how to get them.',
    example: 'backup',
  }),
  storageClass: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{1,40}$/, 'expected a storage class like STANDARD_IA')
    .default('STANDARD')
    .meta({
      description: 'Storage class of artifacts. Manifests and other small objects are STANDARD always.',
      example: 'STANDARD_IA',
    }),
  allowColdRestore: z.boolean().default(false).meta({
    description:
      'Allows storage classes out of which a restore has to wait for hours: GLACIER and DEEP_ARCHIVE.',
    example: true,
  }),
  tags: z
    .record(z.string().min(1).max(128), z.string().max(256))
    .refine((tags) => Object.keys(tags).length <= 10, 'expected at most 10 tags')
    .default({})
    .meta({
      description: 'Tags that every object has from its creation on, for lifecycle rules and bills.',
      example: { purpose: 'backup' },
    }),
  encryption: z.enum(['bucket', 'AES256', 'aws:kms', 'aws:kms:dsse']).default('bucket').meta({
    description:
      "Encryption by the store: SSE-S3 (`AES256`), SSE-KMS, or what the bucket's own setting says.",
    example: 'aws:kms',
  }),
  kmsKey: z.string().min(1).optional().meta({
    description: "Id, ARN or alias of the key for SSE-KMS; without it the account's own.",
    example: 'alias/backups',
  }),
  objectLock: z
    .strictObject({
      mode: z.enum(['GOVERNANCE', 'COMPLIANCE', 'bucket']).meta({
        description: 'Mode of the lock, or `bucket` for the default that the bucket has.',
        example: 'COMPLIANCE',
      }),
      days: z.number().int().min(1).max(36_500).optional().meta({
        description: 'How long each object is locked; of `GOVERNANCE` and `COMPLIANCE` only.',
        example: 35,
      }),
    })
    .optional()
    .meta({
      description: 'Locks each object against removal. The bucket must have object lock turned on.',
      example: { mode: 'COMPLIANCE', days: 35 },
    }),
  partSize: size({
    description:
      'Size of the first parts of a large object; what is no larger is sent in one request. Later parts grow, because an object has at most `maxParts`.',
    example: '16MiB',
  })
    .refine((bytes) => bytes >= smallestPart && bytes <= largestPart, 'expected 5MiB to 5GiB')
    .prefault('8MiB'),
  maxParts: z.number().int().min(2).max(mostParts).optional().meta({
    description: 'How many parts one object may have; 1,000 for `scaleway`, 10,000 for all others.',
    example: 1000,
  }),
  concurrency: z.number().int().min(1).max(64).default(4).meta({
    description: 'Parts of one object that are sent at once, as far as `limits.memory` allows.',
    example: 8,
  }),
  checksums: z.enum(['always', 'required']).optional().meta({
    description:
      'Whether each request carries a checksum that the store verifies, or only those that must; `always` for `aws`, `required` for all others.',
    example: 'always',
  }),
});

export type Options = z.output<typeof options>;
