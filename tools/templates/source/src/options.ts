import { secret } from '@pgsilo/plugin';
import type { Secret } from '@pgsilo/plugin';
import { z } from 'zod';

/** To be changed to what your source needs. Each option has a description, an example, and a default or is required. */
export const options: z.ZodObject<{ connection: z.ZodType<Secret, string> }, z.core.$strict> = z.strictObject(
  {
    connection: secret({
      description: 'Connection string of the server, as psql takes it.',
      example: 'postgresql://backup@db.internal/platform',
    }),
  },
);

export type Options = z.output<typeof options>;
