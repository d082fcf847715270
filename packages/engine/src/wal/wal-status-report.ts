import type { ArchiverState, JsonObject, PgsiloError } from '@pgsilo/plugin';

export interface WalStatus {
  readonly segmentBytes: number;
  /** Neither: the source has no archiver. */
  readonly server:
    | { readonly state: ArchiverState }
    | { readonly error: PgsiloError }
    | Record<string, never>;
  readonly sinks: readonly WalSinkStatus[];
  readonly behind?: WalBehind;
  /** Backups whose manifest cannot be read: what they need is not known. */
  readonly unreadableBackups: number;
  /** `failed`: a kept base backup lacks log that lies in no sink, archiving fails, or a sink cannot be looked at. */
  readonly status: 'ok' | 'failed';
}

export interface WalSinkStatus {
  readonly sink: string;
  readonly timelines: readonly WalTimeline[];
  /** Of each base backup that this sink holds, newest first. */
  readonly windows: readonly WalWindow[];
  /** Names of segments that lie there with two contents. */
  readonly conflicts: readonly string[];
  /** Names of history files that cannot be read here: windows then end with the timeline of their backup. */
  readonly unread: readonly string[];
  readonly error?: PgsiloError;
}

export interface WalTimeline {
  readonly timeline: string;
  readonly first: string;
  readonly last: string;
  readonly segments: number;
  /** Stored bytes. */
  readonly bytes: number;
  /** Segments between the first and the last that are not there. */
  readonly missing: number;
  /** The first hundred gaps. */
  readonly gaps: readonly WalGap[];
}

export interface WalGap {
  readonly first: string;
  readonly last: string;
  readonly segments: number;
}

/** The moments that one base backup can be brought to. */
export interface WalWindow {
  readonly backup: string;
  /** The end of the backup. */
  readonly from: Date;
  /** The last segment without a gap before it; missing: there is none behind the backup. */
  readonly last?: string;
  /** When that was stored: its newest change is no later. */
  readonly until?: Date;
  /** What is missing there, although log behind it is archived. */
  readonly gap?: WalGap & { /** Whether other sinks have all of it. */ readonly elsewhere: boolean };
  /** The backup does not say where it ends. */
  readonly unknown?: true;
}

export interface WalBehind {
  /** Newest segment that every required sink has, on the server's timeline. */
  readonly newest?: string;
  /** Whole segments behind it. */
  readonly segments?: number;
  /** Bytes behind it, up to where the server writes. */
  readonly bytes?: number;
  /** Age of the oldest file that waits, in milliseconds. */
  readonly oldestWaiting?: number;
  /** Milliseconds until the disk of the log is full, where archiving fails and that is known. */
  readonly full?: number;
}

/** A base backup that can be restored. */
export interface BaseBackup {
  readonly backup: string;
  readonly sinks: readonly string[];
  readonly snapshotAt: Date;
  readonly about: JsonObject;
}
