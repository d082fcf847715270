import { size } from '@pgsilo/plugin';
import { blockSizeRange } from '@pgsilo/plugin/blocks';
import { z } from 'zod';

export const options: z.ZodObject<
  { level: z.ZodDefault<z.ZodNumber>; blockSize: z.ZodPrefault<z.ZodType<number, string>> },
  z.core.$strict
> = z.strictObject({
  level: z.int().min(1).max(19).default(3).meta({
    description: 'How hard to compress, 1 (fast) to 19 (small). Memory and time grow with it.',
    example: 6,
  }),
  blockSize: size({
    description:
      'How much is compressed as one block, 64KiB to 16MiB. Larger blocks compress a little better and take more memory.',
    example: '4MiB',
  })
    .refine(isBlockSize, 'expected 64KiB to 16MiB')
    .prefault('1MiB'),
});

export type Options = z.output<typeof options>;

function isBlockSize(bytes: number): boolean {
  return bytes >= blockSizeRange.smallest && bytes <= blockSizeRange.largest;
}
