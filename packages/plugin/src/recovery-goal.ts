/** Where recovery ends. */
export type RecoveryPoint =
  /** ISO 8601, UTC: before the first transaction that was committed after it. */
  | { readonly kind: 'time'; readonly at: string }
  /** A position in the log, `0/3000028`: behind the record that begins there, or is the first after it. */
  | { readonly kind: 'lsn'; readonly lsn: string }
  /** A transaction, in decimal digits: right behind its end. */
  | { readonly kind: 'xid'; readonly xid: string }
  /** What `pg_create_restore_point` named. Hostile input: of 1 to 63 bytes, without control characters. */
  | { readonly kind: 'restore-point'; readonly name: string }
  /** The end of the backup, which takes no log. */
  | { readonly kind: 'immediate' }
  /** The end of what was archived. */
  | { readonly kind: 'latest' };

/** Which timeline is followed: one by its number, the newest that there is, or the one that the backup was made on. */
export type TimelineChoice = number | 'latest' | 'current';

export interface RecoveryGoal {
  readonly point: RecoveryPoint;
  readonly timeline: TimelineChoice;
}

/** A state after that of the backup, and where the log that leads there comes from. */
export interface RecoveryTarget extends RecoveryGoal {
  /** Shell command that brings a file of the log, as PostgreSQL's `restore_command` is: with `%f` and `%p`, other percent signs doubled. */
  readonly fetchCommand: string;
  readonly archive: LogArchive;
  /**
   * Brings one file of the log to a path where nothing is, whole and proved. False only where it is certain that it was never archived; all other trouble rejects.
   * Calls may overlap.
   */
  fetch(name: string, path: string): Promise<boolean>;
}

/** What was archived of a write-ahead log, in all sinks together. */
export interface LogArchive {
  /** Files of one timeline (as `WalFile.timeline`), by name and in its order, each once. */
  list(timeline: string): Promise<readonly LogFile[]>;
  /** All of a small file; undefined only where it is certain that it was never archived. */
  read(name: string): Promise<Uint8Array | undefined>;
}

export interface LogFile {
  readonly name: string;
  /** As it is stored. */
  readonly bytes: number;
}

/** A point in words that follow “recovered to”. A name stands in quotes. */
export function describePoint(point: RecoveryPoint): string {
  switch (point.kind) {
    case 'time':
      return point.at;
    case 'lsn':
      return `position ${point.lsn}`;
    case 'xid':
      return `the end of transaction ${point.xid}`;
    case 'restore-point':
      return `restore point ${JSON.stringify(point.name)}`;
    case 'immediate':
      return 'the end of the backup';
    case 'latest':
      return 'the end of what was archived';
  }
}
