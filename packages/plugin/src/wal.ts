import type { Context, JsonObject } from './context.ts';
import type { LogArchive, RecoveryGoal } from './recovery-goal.ts';

/** Files of a write-ahead log, as the server hands them out one by one and wants them back. */
export interface WalFiles {
  /** What a name says; undefined for what is no file of the log. */
  classify(name: string): WalFile | undefined;
  /** Looks at a file that is about to be kept. Throws `source.archive-invalid` for one that is cut, or is another than its name says. */
  examine(name: string, path: string): Promise<void>;
  /** Name of the first segment that a backup needs, by `about` of its manifest; undefined where that does not tell. Without this method the log is never expired. */
  firstNeeded?(about: JsonObject): string | undefined;
  /**
   * Whether none of some backups can need a file of the log, on whatever way through timelines they are recovered. False in all doubt.
   * @param firsts what `firstNeeded` said of each of them.
   */
  isExpired?(name: string, firsts: readonly string[]): boolean;
  /**
   * Whether the log leads from a backup to a goal, as far as that can be known before it is tried.
   * @returns undefined where it does, or may; else what stands in the way, in words that follow the backup's id: `ends at 0/5000028, behind it`. Without this method it always may.
   */
  obstacle?(
    backup: { readonly snapshotAt: string; readonly about: JsonObject },
    goal: RecoveryGoal,
    archive: LogArchive,
  ): Promise<string | undefined>;
  /**
   * What waits beside a file that was handed out; undefined where that is no place of a server's own, or belongs to another user.
   * @param place tells apart where files are archived to: a note of one place says nothing about another.
   */
  waiting?(path: string, place: string): Promise<WalQueue | undefined>;
  /** How files follow each other. Without it nothing is said about gaps. */
  readonly segments?: WalSegments;
}

export interface WalFile {
  /** Of `A-Z a-z 0-9 .`, as it may stand in a key. */
  readonly name: string;
  /** Of the same characters. */
  readonly timeline: string;
}

/** Files that wait to be handed out, and notes on those that need not be any more. Whatever goes wrong with the notes, a file is then kept once more. */
export interface WalQueue {
  /** Paths of files that wait and were not noted, oldest first, at most so many, without those of these paths. Forgets notes on what waits no more. */
  next(most: number, except: ReadonlySet<string>): Promise<readonly string[]>;
  /** Notes that a file of this content is kept, durably, wherever it must be: who is asked to keep it may say so without looking. */
  note(name: string, sha256: string): Promise<void>;
}

/** How segments follow each other. Their numbers count from the beginning of the log, on whatever timeline. All of it is pure. */
export interface WalSegments {
  /** Size of a segment where neither a server nor a backup tells it. */
  readonly usualBytes: number;
  /** Size of a segment by `about` of a backup's manifest; undefined where that does not tell. */
  bytesOf(about: JsonObject): number | undefined;
  /** Number of a whole segment; undefined for every other file, and for a name that there is not with this size. */
  numberOf(name: string, segmentBytes: number): number | undefined;
  nameOf(timeline: string, number: number, segmentBytes: number): string;
  /**
   * Which segments recovery goes through behind a backup, into the newest timeline that it finds. Undefined where `about` does not say where the backup ends.
   * @param histories texts of the history files that are archived, by timeline.
   */
  way(
    about: JsonObject,
    segmentBytes: number,
    histories: ReadonlyMap<string, string>,
  ): readonly WalLeg[] | undefined;
}

/** A part of the way: segments of one timeline. Each but the last has an end. */
export interface WalLeg {
  readonly timeline: string;
  /** Number of the first one. */
  readonly from: number;
  /** Number of the last one; a leg without any ends before it begins. */
  readonly to?: number;
}

/** The side of the server that archives. */
export interface WalArchiver {
  /** How far it is. Throws where the server does not answer. */
  state(context: Context): Promise<ArchiverState>;
  /** Looks at what would have to be set. Changes nothing before `apply`. Throws where the server does not answer. */
  setup(command: ArchiveCommand, context: Context): Promise<ArchiverSetup>;
}

/** How the server is to archive: a line for its shell. */
export interface ArchiveCommand {
  readonly text: string;
  /** As {@link WalFiles.waiting} is told it. */
  readonly place: string;
  /** A path, quoted for the shell: no note counts that is older than this file. */
  readonly newerThan: string;
  /** Whether a line does the same, written by an earlier call of ours. */
  isOwn(line: string): boolean;
}

export interface ArchiverSetup {
  /** All that matters for archiving, whether it must be changed or not. */
  readonly settings: readonly ArchiverSetting[];
  /** Another way to archive that the server has been told of: it must not be lost by mistake. */
  readonly foreign?: { readonly name: string; readonly value: string };
  /** Changes what is to be changed, lastingly, and has the server read it. @returns names of settings that take effect at the next start. */
  apply(): Promise<readonly string[]>;
}

export interface ArchiverSetting {
  readonly name: string;
  readonly now: string;
  readonly wanted: string;
  /** Whether it takes a restart. */
  readonly restart: boolean;
}

export interface ArchiverState {
  readonly segmentBytes: number;
  /** `off`, `on` or `always`. */
  readonly mode: string;
  /** Whether it is told how to archive. */
  readonly configured: boolean;
  /** A standby archives only in the mode `always`. */
  readonly standby: boolean;
  readonly timeline: string;
  /** Number of the segment that is written now. */
  readonly segment: number;
  /** How many bytes are written in it. */
  readonly written: number;
  readonly lastArchived?: { readonly name: string; readonly at: Date };
  readonly lastFailed?: { readonly name: string; readonly at: Date };
  readonly failures: number;
  /** Whether the newest try failed. */
  readonly failing: boolean;
  /** Files that wait, and how long the oldest has by the server's clock, in milliseconds; missing where the role may not look. */
  readonly waiting?: { readonly files: number; readonly age?: number };
  /** The disk of the log, where the server is on this machine. */
  readonly disk?: { readonly free: number };
}
