import { describe, expect, it } from 'vitest';
import { PipelineFileError } from '../src/index.ts';
import { makeProject } from './project.ts';

/** Place, path and message of each mistake in `hooks: …`, which is the fifth line. */
async function mistakesOf(hooks: string): Promise<string[]> {
  const project = await makeProject();
  const text = `pipeline: shop
source: { use: databases, connection: postgres:///shop }
sinks: [{ use: folder, path: /b }]

hooks: ${hooks}
`;
  try {
    await project.load(text);
    return [];
  } catch (error) {
    if (!(error instanceof PipelineFileError)) throw error;
    return error.mistakes.map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
  }
}

describe('hooks', () => {
  it.each([
    [
      '{ before-swap: [{ run: "systemctl stop app" }] }',
      '5:31 hooks.before-swap[0].run: expected a list, not "systemctl stop app"',
    ],
    ['{ before-swop: [] }', '5:10 hooks.before-swop: unknown option "before-swop"'],
    ['{ after-backup: { run: [a] } }', '5:24 hooks.after-backup: expected a list, not options'],
    ['{ after-backup: [{ run: [] }] }', '5:32 hooks.after-backup[0].run: expected at least one entry'],
    [
      '{ after-backup: [{ run: [""] }] }',
      '5:32 hooks.after-backup[0].run: the first of the list is the program; it is empty',
    ],
    [
      '{ after-backup: [{ run: [a], timeout: 30d }] }',
      '5:46 hooks.after-backup[0].timeout: expected a duration between 100ms and 24d',
    ],
    [
      '{ after-backup: [{ run: [a], env: [PGSILO_TO_SERVER] }] }',
      '5:43 hooks.after-backup[0].env[0]: expected the name of a variable, not one of PGSILO_…',
    ],
    [
      '{ after-backup: [{ run: [a], env: [NOT_SET] }] }',
      '5:43 hooks.after-backup[0].env[0]: the environment variable "NOT_SET" is not set',
    ],
    [
      '{ after-backup: [{ run: [a], shell: true }] }',
      '5:37 hooks.after-backup[0].shell: unknown option "shell"',
    ],
  ])('%s is a mistake with its place', async (hooks, mistake) => {
    expect(await mistakesOf(hooks)).toEqual([mistake]);
  });

  it('are right as docs/hooks.md has them', async () => {
    expect(
      await mistakesOf('{ before-swap: [{ run: [systemctl, stop, app], timeout: 1m }], after-swap: [] }'),
    ).toEqual([]);
  });
});
