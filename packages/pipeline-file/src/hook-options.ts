import { duration } from '@pgsilo/plugin';
import { z } from 'zod';
import type { HookName, Hooks } from './hooks.ts';
import { hookNames } from './hooks.ts';

// Timers hold 2^31 milliseconds; a longer one would fire at once.
const longest = 24 * 86_400_000;

const hook = z
  .strictObject({
    run: z
      .array(z.string().refine((word) => !word.includes('\0'), 'a command holds no zero byte'))
      .min(1)
      .refine(([program]) => program !== '', 'the first of the list is the program; it is empty')
      .meta({
        description:
          'The program and its arguments, one entry each. No shell reads them: what needs one is written as ["sh", "-c", "…"]. Others see arguments in the list of processes, so no secret belongs here',
        example: ['systemctl', 'stop', 'app.service'],
      }),
    timeout: duration({ description: 'It is ended, and has failed, when it takes longer', example: '1m' })
      .refine((wait) => wait >= 100 && wait <= longest, 'expected a duration between 100ms and 24d')
      .prefault('5m'),
    env: z
      .array(
        z
          .string()
          .regex(
            /^(?!PGSILO_)[A-Za-z_][A-Za-z0-9_]*$/,
            'expected the name of a variable, not one of PGSILO_…',
          ),
      )
      .default([])
      .meta({
        description:
          'Variables of pgsilo’s own environment that it gets besides PATH, HOME and the like; their values are kept out of the log',
        example: ['PAGER_TOKEN'],
      }),
  })
  .meta({ description: 'A command', example: { run: ['systemctl', 'stop', 'app.service'], timeout: '1m' } });

const moments: Readonly<Record<HookName, string>> = {
  'before-backup': 'Before a run, once it holds the lock; one that fails keeps the run from beginning',
  'after-backup': 'After a run, however it ended',
  'before-restore':
    'Before a restore, and before the backup of what it replaces; one that fails keeps it from beginning',
  'after-restore': 'After a restore, however it ended',
  'before-swap':
    'With --replace, when the copy is whole and compared, before it takes the live one’s place; one that fails leaves the live one as it is',
  'after-swap': 'After the copy took the live one’s place, or failed to',
};

/** `hooks:` of a pipeline file. */
export const hooksOption: z.ZodType<Hooks> = z
  .strictObject(
    Object.fromEntries(
      hookNames.map((name) => [
        name,
        z
          .array(hook)
          .optional()
          .meta({ description: moments[name], example: [{ run: ['systemctl', 'stop', 'app.service'] }] }),
      ]),
    ),
  )
  .meta({
    description: 'Your own commands before and after backups, restores and swaps',
    example: {
      'before-swap': [{ run: ['systemctl', 'stop', 'app.service'], timeout: '1m' }],
      'after-swap': [{ run: ['systemctl', 'start', 'app.service'] }],
    },
  }) as z.ZodType<Hooks>;
