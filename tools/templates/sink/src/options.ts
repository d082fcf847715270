import { secret } from '@pgsilo/plugin';
import type { Secret } from '@pgsilo/plugin';
import { z } from 'zod';

/** To be changed to what your store needs. Each option has a description, an example, and a default or is required. */
export const options: z.ZodObject<{ url: z.ZodURL; token: z.ZodType<Secret, string> }, z.core.$strict> =
  z.strictObject({
    url: z.url().meta({ description: 'Where the store is.', example: 'https://store.example/backups' }),
    token: secret({ description: 'What the store lets you in with.', example: '${env:NEWCOMER_TOKEN}' }),
  });

export type Options = z.output<typeof options>;
