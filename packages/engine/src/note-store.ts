import { toPgsiloError } from '@pgsilo/plugin';
import type { DamagedRecord } from './history.ts';
import { encodeUnit, noteKey, notesPrefix, timeStamp } from './keys.ts';
import { readNote, writeNote } from './notes.ts';
import type { Note } from './notes.ts';
import { getDocument, listObjects, putDocument } from './objects.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import type { EngineSession } from './session.ts';

const notesAtOnce = 16;

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

/** What came of restoring a backup in order to prove it. */
export interface Proved {
  readonly at: string;
  readonly result: 'ok' | 'failed';
  /** Seconds that the restore took. */
  readonly seconds?: number;
  /** Code of the error that made it fail. */
  readonly code?: string;
}

export interface Notes {
  /** Pins that hold now, by `<unit key>/<backup>`. */
  readonly held: ReadonlyMap<string, Pin>;
  /** Backups that nobody can read any more, by the same. */
  readonly destroyed: ReadonlyMap<string, KeysDestroyed>;
  /** The newest answer that restoring a backup gave, by the same. */
  readonly proved: ReadonlyMap<string, Proved>;
  /** When it was last tried to prove a backup of a unit, whatever came of it (ISO 8601), by the unit's key. */
  readonly tried: ReadonlyMap<string, string>;
  readonly damaged: readonly DamagedRecord[];
}

type About = 'pin' | 'destroyed' | 'verified';

interface NewestNote {
  readonly place: string;
  readonly about: About;
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
  const listed = await listNotes(session, sinks, unit);
  const held = new Map<string, Pin>();
  const destroyed = new Map<string, KeysDestroyed>();
  const proved = new Map<string, Proved>();
  const tried = new Map<string, string>();
  const damaged: DamagedRecord[] = [];
  const now = session.pipeline.clock.now();
  await eachLimited(listed, notesAtOnce, async (notes) => {
    const [newest] = notes as [NewestNote];
    if (newest.about === 'verified') {
      const answer = await readAnswer(session, notes, damaged);
      if (answer) proved.set(newest.place, answer);
      const unitKey = newest.place.split('/')[0]!;
      const at = timeOf(newest.stamp);
      if ((tried.get(unitKey) ?? '') < at) tried.set(unitKey, at);
      return;
    }
    const found = await readFirst(session, newest, damaged);
    if (found?.kind === 'destroyed') destroyed.set(newest.place, found);
    else if (!found && newest.about === 'pin') held.set(newest.place, unreadable(session, newest));
    else if (found?.kind === 'pinned' && (found.until === undefined || new Date(found.until) > now))
      held.set(newest.place, found);
  });
  damaged.sort((a, b) => (a.key + a.sink < b.key + b.sink ? -1 : 1));
  return { held, destroyed, proved, tried, damaged };
}

/** The newest answer: an attempt that could not be made says nothing, and leaves what an earlier one said. */
async function readAnswer(
  session: EngineSession,
  notes: readonly NewestNote[],
  damaged: DamagedRecord[],
): Promise<Proved | undefined> {
  for (const note of notes) {
    const found = await readFirst(session, note, damaged);
    // What cannot be read may have said that it failed.
    if (!found) return undefined;
    const { at, result, seconds, code } = found;
    if (result === 'ok' || result === 'failed')
      return {
        at,
        result,
        ...(seconds === undefined ? {} : { seconds }),
        ...(code === undefined ? {} : { code }),
      };
  }
  return undefined;
}

/** The notes of each backup about one thing, newest first: of pins and keys the newest alone, which is all that counts. */
async function listNotes(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit?: string,
): Promise<Iterable<readonly NewestNote[]>> {
  const notes = new Map<string, NewestNote[]>();
  const prefix = notesPrefix(session.pipeline.name);
  const wanted = unit === undefined ? prefix : `${prefix}${encodeUnit(unit)}/`;
  for (const sink of sinks) {
    for await (const { key } of listObjects(session, sink, wanted)) {
      const [unitKey, backup, stamp = ''] = key.slice(prefix.length).split('/');
      const kind = /-((?:un)?pinned|destroyed|verified)\.json$/.exec(stamp)?.[1];
      if (kind === undefined) continue;
      const about: About = kind === 'destroyed' || kind === 'verified' ? kind : 'pin';
      const place = `${unitKey}/${backup}`;
      const known = notes.get(`${place} ${about}`);
      const twin = known?.find((one) => one.stamp === stamp);
      if (twin) twin.sinks.push(sink);
      else if (!known) notes.set(`${place} ${about}`, [{ place, about, key, stamp, sinks: [sink] }]);
      else if (about === 'verified') known.push({ place, about, key, stamp, sinks: [sink] });
      else if (known[0]!.stamp < stamp) known[0] = { place, about, key, stamp, sinks: [sink] };
    }
  }
  for (const each of notes.values()) each.sort((a, b) => (a.stamp < b.stamp ? 1 : -1));
  return notes.values();
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
