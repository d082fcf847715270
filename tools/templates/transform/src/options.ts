import { z } from 'zod';

/** To be changed to what your transform needs. Each option has a description, an example, and a default or is required. */
export const options: z.ZodObject<{ level: z.ZodDefault<z.ZodInt> }, z.core.$strict> = z.strictObject({
  level: z.int().min(1).max(9).default(6).meta({
    description: 'How hard to work, 1 (fast) to 9 (small).',
    example: 4,
  }),
});

export type Options = z.output<typeof options>;
