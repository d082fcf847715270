import { encodeUnit, noteKey, notesPrefix, timeStamp } from './keys.ts';
import { readNote, writeNote } from './notes.ts';
import type { Note } from './notes.ts';
import { getDocument, listObjects, putDocument } from './objects.ts';
import type { PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';

export async function addNote(session: EngineSession, sink: PipelineSink, note: Note): Promise<void> {
  const at = new Date(note.at);
  // Milliseconds, so that pin and unpin within one second keep their order.
  const stamp = `${timeStamp(at).slice(0, -1)}.${String(at.getUTCMilliseconds()).padStart(3, '0')}Z`;
  await putDocument(
    session,
    sink,
    noteKey(session.pipeline.name, note.unit, note.backup, stamp, note.kind),
    writeNote(note),
    'note',
  );
}

/** The pins that hold now, by `<unit key>/<backup>`: the newest note of each backup, when it pins and has not run out; of one unit or of all. */
export async function readPins(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit?: string,
): Promise<ReadonlyMap<string, Note>> {
  const newest = new Map<
    string,
    { readonly key: string; readonly stamp: string; readonly sink: PipelineSink }
  >();
  const prefix = notesPrefix(session.pipeline.name);
  const wanted = unit === undefined ? prefix : `${prefix}${encodeUnit(unit)}/`;
  for (const sink of sinks) {
    for await (const { key } of listObjects(session, sink, wanted)) {
      const [unitKey, backup, stamp = ''] = key.slice(prefix.length).split('/');
      if (!/-(?:un)?pinned\.json$/.test(stamp)) continue;
      const place = `${unitKey}/${backup}`;
      if ((newest.get(place)?.stamp ?? '') < stamp) newest.set(place, { key, stamp, sink });
    }
  }
  const pins = new Map<string, Note>();
  const now = session.pipeline.clock.now();
  for (const [place, { key, stamp, sink }] of newest) {
    if (stamp.endsWith('-unpinned.json')) continue;
    const found = readNote(await getDocument(session, sink, key), key);
    if (found.until === undefined || new Date(found.until) > now) pins.set(place, found);
  }
  return pins;
}
