import { writeFile } from 'node:fs/promises';
import { PgsiloError } from '@pgsilo/plugin';
import { pipelineJsonSchema } from '@pgsilo/pipeline-file';
import { builtins } from '../builtins.ts';
import type { Invocation } from '../invocation.ts';
import { loadBuiltins } from '../load-builtins.ts';
import { printable } from '../terminal/printable.ts';

export interface SchemaOptions {
  readonly output?: string;
}

/** `pgsilo schema`: the JSON Schema of pipeline files with the options of every built-in plugin. */
export async function schema(invocation: Invocation, { output }: SchemaOptions): Promise<number> {
  const document = pipelineJsonSchema(await loadBuiltins(builtins));
  if (output === undefined) {
    await invocation.out.json(document);
    return 0;
  }
  try {
    await writeFile(output, `${JSON.stringify(document, null, 2)}\n`);
  } catch (error) {
    throw new PgsiloError(
      'usage.invalid',
      `${printable(output)} cannot be written: ${(error as Error).message}`,
      {
        cause: error,
        hint: 'Give --output a file in a folder that you may write to.',
      },
    );
  }
  if (invocation.json) await invocation.out.json({ output });
  else if (!invocation.quiet) {
    const comment = `# yaml-language-server: $schema=${printable(output)}`;
    await invocation.out.write(
      `written  ${printable(output)}\nIn a pipeline file, for completion in editors:\n  ${comment}\n`,
    );
  }
  return 0;
}
