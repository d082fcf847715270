import { toPgsiloError } from '@pgsilo/plugin';
import type { DamagedRecord } from './history.ts';
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

/** Why a backup is held, since when and until when. */
export type Pin = Pick<Note, 'at' | 'reason' | 'until'>;

/** When the keys of a backup were destroyed, and by whom. */
export type KeysDestroyed = Pick<Note, 'at' | 'reason'>;

export interface Notes {
  /** Pins that hold now, by `<unit key>/<backup>`. */
  readonly held: ReadonlyMap<string, Pin>;
  /** Backups that nobody can read any more, by the same. */
  readonly destroyed: ReadonlyMap<string, KeysDestroyed>;
  readonly damaged: readonly DamagedRecord[];
}

interface NewestNote {
  readonly place: string;
  readonly about: 'pin' | 'destroyed';
  readonly key: string;
  readonly stamp: string;
  readonly sinks: PipelineSink[];
}

/**
 * What is noted of one unit's backups or of all. A pin holds when it is the newest note about pins and has not run out.
 * A backup whose newest note about pins no sink gives whole is held: what it said is not known, and what is held by mistake can be let go.
 */
export async function readNotes(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit?: string,
): Promise<Notes> {
  const newest = await newestNotes(session, sinks, unit);
  const held = new Map<string, Pin>();
  const destroyed = new Map<string, KeysDestroyed>();
  const damaged: DamagedRecord[] = [];
  const now = session.pipeline.clock.now();
  for (const note of newest) {
    const found = await readFirst(session, note, damaged);
    if (found?.kind === 'destroyed') destroyed.set(note.place, found);
    else if (!found && note.about === 'pin') held.set(note.place, unreadable(session, note));
    else if (found?.kind === 'pinned' && (found.until === undefined || new Date(found.until) > now))
      held.set(note.place, found);
  }
  return { held, destroyed, damaged };
}

async function newestNotes(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit?: string,
): Promise<Iterable<NewestNote>> {
  const newest = new Map<string, NewestNote>();
  const prefix = notesPrefix(session.pipeline.name);
  const wanted = unit === undefined ? prefix : `${prefix}${encodeUnit(unit)}/`;
  for (const sink of sinks) {
    for await (const { key } of listObjects(session, sink, wanted)) {
      const [unitKey, backup, stamp = ''] = key.slice(prefix.length).split('/');
      const kind = /-((?:un)?pinned|destroyed)\.json$/.exec(stamp)?.[1];
      if (kind === undefined) continue;
      const about = kind === 'destroyed' ? 'destroyed' : 'pin';
      const place = `${unitKey}/${backup}`;
      const known = newest.get(`${place} ${about}`);
      if (known?.stamp === stamp) known.sinks.push(sink);
      else if (known === undefined || known.stamp < stamp)
        newest.set(`${place} ${about}`, { place, about, key, stamp, sinks: [sink] });
    }
  }
  return newest.values();
}

/** The note from the first sink that gives it whole; every copy that is not whole is added to `damaged`. */
async function readFirst(
  session: EngineSession,
  { place, key, sinks }: NewestNote,
  damaged: DamagedRecord[],
): Promise<Note | undefined> {
  let found: Note | undefined;
  for (const sink of sinks) {
    const bytes = await getDocument(session, sink, key);
    try {
      found ??= readNote(bytes, { key, place });
    } catch (error) {
      damaged.push({ key, sink: sink.name, error: toPgsiloError(error).toJSON() });
    }
  }
  return found;
}

function unreadable(session: EngineSession, { key, stamp }: NewestNote): Pin {
  const reason = `held because its newest note cannot be read, ${key}; pin or unpin it again`;
  session.pipeline.log.warn('a note cannot be read, and its backup counts as pinned', { key });
  return { at: timeOf(stamp), reason };
}

/** The time in the name of a note, `20261121T020000.123Z-pinned.json`. */
function timeOf(stamp: string): string {
  return stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z.*$/, '$1-$2-$3T$4:$5:$6Z');
}
