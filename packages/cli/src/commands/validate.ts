import type { Mistake } from '@pgsilo/pipeline-file';
import { toPgsiloError } from '@pgsilo/plugin';
import { errorDocument, errorText } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { readPipelineFile, usePipeline } from '../open-pipeline.ts';
import { formatCount } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';

type Place = Omit<Mistake, 'frame'>;

interface Verdict {
  readonly file: string;
  readonly ok: boolean;
  readonly pipeline?: string;
  readonly error?: ReturnType<typeof errorDocument>;
  readonly mistakes: readonly Place[];
  readonly warnings: readonly Place[];
}

/** `pgsilo validate`: every mistake of every file, and whether its plugins can be made. Connects to nothing. */
export async function validate(invocation: Invocation, files: readonly string[]): Promise<number> {
  const verdicts: Verdict[] = [];
  for (const file of files) verdicts.push(await check(file, invocation));
  if (invocation.json) await invocation.out.json({ files: verdicts });
  return verdicts.every(({ ok }) => ok) ? 0 : 2;
}

async function check(file: string, invocation: Invocation): Promise<Verdict> {
  const { out, json, quiet, style } = invocation;
  const say = async (text: string): Promise<void> => (json ? undefined : out.write(text));
  const formatted = async (mistakes: readonly Mistake[]): Promise<string> => {
    const { formatMistakes } = await import('@pgsilo/pipeline-file');
    return formatMistakes(mistakes, { color: style.isColorSupported });
  };
  try {
    const read = await readPipelineFile(file, invocation);
    const { name, sinks, transforms, source, warnings } = read;
    // Making the plugins is cheap and connects to nothing, and shows what no spec of options can say.
    await usePipeline(read, invocation, () => Promise.resolve());
    if (!quiet) {
      const chain = [source.use, ...transforms.map(({ use }) => use)].join(' → ');
      const about = `pipeline ${name}: ${chain} → ${sinks.map((sink) => printable(sink.name)).join(', ')}`;
      await say(`${style.green('ok')}  ${printable(file)}  ${style.dim(about)}\n`);
    }
    if (warnings.length > 0) await say(`\n${await formatted(warnings)}\n\n`);
    return { file, ok: true, pipeline: name, mistakes: [], warnings: warnings.map(withoutFrame) };
  } catch (thrown) {
    const error = toPgsiloError(thrown);
    if (error.exit !== 2) throw error;
    const mistakes = 'mistakes' in error ? (error.mistakes as readonly Mistake[]) : [];
    const text = mistakes.length > 0 ? await formatted(mistakes) : errorText(error, style, invocation.debug);
    const count = mistakes.length > 1 ? formatCount(mistakes.length, 'mistake') : 'one mistake';
    await say(`${style.red('wrong')}  ${printable(file)}  ${style.dim(count)}\n\n${text}\n\n`);
    return {
      file,
      ok: false,
      error: errorDocument(error),
      mistakes: mistakes.map(withoutFrame),
      warnings: [],
    };
  }
}

function withoutFrame({ frame: _, ...place }: Mistake): Place {
  return place;
}
