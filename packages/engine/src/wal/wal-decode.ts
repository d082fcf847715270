import { PgsiloError } from '@pgsilo/plugin';
import type { Body, Transform } from '@pgsilo/plugin';
import { getObject } from '../objects.ts';
import type { Pipeline, PipelineSink } from '../pipeline.ts';
import type { EngineSession } from '../session.ts';
import type { WalObject } from './wal-keys.ts';

/** What was archived, out of an object that holds it. */
export function decodedWal(session: EngineSession, sink: PipelineSink, object: WalObject): Body {
  const used = transformsOf(session.pipeline, object);
  let body: Body = getObject(session, sink, object.key, object.bytes);
  for (const transform of used.toReversed())
    body = transform.decode(body, {}, session.context(1 / (used.length + 1)));
  return body;
}

/** By the suffixes of the key; a segment has no manifest that says more. */
function transformsOf({ transforms }: Pipeline, { key, suffixes }: WalObject): readonly Transform[] {
  return suffixes
    .split('.')
    .slice(1)
    .map((suffix) => {
      const found = transforms.find(({ transform }) => transform.suffix === `.${suffix}`);
      if (found) return found.transform;
      throw new PgsiloError(
        'plugin.unknown',
        `${key} was written through a transform with the suffix .${suffix}, which the pipeline file does not name`,
        { hint: 'Add it to the transforms of the file that restores.' },
      );
    });
}
