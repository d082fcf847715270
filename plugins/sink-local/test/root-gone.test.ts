import type * as FileSystem from 'node:fs/promises';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { bodyOf, testContext } from '@pgsilo/testkit';
import { ownFolder, sinkIn, treeOf } from './folder.ts';

/** Runs before the next call of that name. */
let before: { call: string; run: () => Promise<void> } | undefined;

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof FileSystem>();
  const hooked = (call: 'access' | 'open' | 'mkdir' | 'link') => ({
    [call]: async (...args: unknown[]) => {
      const due = before?.call === call ? before : undefined;
      if (due) before = undefined;
      await due?.run();
      return await (real[call] as (...args: unknown[]) => Promise<unknown>)(...args);
    },
  });
  const hooks = (['access', 'open', 'mkdir', 'link'] as const).map(hooked);
  return Object.assign({}, real, ...hooks);
});

const context = testContext();
const artifact = { kind: 'artifact' } as const;

test.each([
  ['access', 'first'],
  ['access', 'second'],
  ['open', 'second'],
  ['mkdir', 'second'],
  ['link', 'second'],
])(
  'a root that goes just before %s of the %s put is sink.unreachable, whatever that call says',
  async (call, which) => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    if (which === 'second') await sink.put('first', bodyOf('x'), artifact, context);
    let gone = false;
    before = {
      call,
      run: async () => {
        gone = true;
        await rename(join(folder, 'objects'), join(folder, 'elsewhere'));
      },
    };
    const put = sink.put('a/b/one', bodyOf('x'), artifact, context);
    await expect(put).rejects.toMatchObject({ code: 'sink.unreachable' });
    expect(gone).toBe(true);
    expect((await treeOf(folder)).filter((path) => path.startsWith('objects'))).toEqual([]);
  },
);
