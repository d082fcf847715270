import { z } from 'zod';

export const options: z.ZodObject<{ path: z.ZodString; fsync: z.ZodDefault<z.ZodBoolean> }, z.core.$strict> =
  z.strictObject({
    path: z.string().min(1).meta({
      description:
        'Folder that holds the objects; made if it is not there. A relative path starts at the pipeline file.',
      example: '/var/backups/vigia',
    }),
    fsync: z.boolean().default(true).meta({
      description:
        'Wait until each object is on the disk. Without it a power cut can take backups that were reported as good.',
      example: true,
    }),
  });

export type Options = z.output<typeof options>;
