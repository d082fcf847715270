/** An entry of a tar that the server sends. */
export interface Entry {
  /** As it stands in the tar, read as latin1: a file's name may be any bytes. */
  readonly path: string;
  readonly type: string;
}

/**
 * What an entry belongs to, as the beginning of an artifact's name: `database-16384` (its files in its own tablespace), `database-16384-tablespace-16400`, `wal`,
 * and for what all databases share `base` and `tablespace-16400`.
 * @param tablespace OID of the tablespace whose archive it is in; undefined: the data directory's.
 */
export function ownerOf({ path, type }: Entry, tablespace: string | undefined): string {
  const plain = path.replace(/^\.\//, '');
  if (tablespace !== undefined) {
    const database = /^PG_[^/]+\/(\d+)(?:\/|$)/.exec(plain)?.[1];
    return database === undefined ? `tablespace-${tablespace}` : inTablespace(database, tablespace);
  }
  const database = /^base\/(\d+)(?:\/|$)/.exec(plain)?.[1];
  if (database !== undefined) return `database-${database}`;
  // A tablespace that lies in the data directory itself (allow_in_place_tablespaces).
  const inPlace = /^pg_tblspc\/(\d+)\/PG_[^/]+\/(\d+)(?:\/|$)/.exec(plain);
  if (inPlace) return inTablespace(inPlace[2]!, inPlace[1]!);
  return plain.startsWith('pg_wal/') && type === 'file' ? 'wal' : 'base';
}

function inTablespace(database: string, tablespace: string): string {
  return `database-${database}-tablespace-${tablespace}`;
}

/** Names artifacts in the order in which their bytes come: what belongs to all comes in several pieces, `base.0001.tar`, `base.0002.tar`; a database's in one, as a rule. */
export class ArtifactNames {
  readonly #pieces = new Map<string, number>();

  next(owner: string): string {
    const piece = (this.#pieces.get(owner) ?? 0) + 1;
    this.#pieces.set(owner, piece);
    const whole = owner === 'wal' || owner.startsWith('database-');
    return piece === 1 && whole ? `${owner}.tar` : `${owner}.${String(piece).padStart(4, '0')}.tar`;
  }
}

/** What an artifact's name says. */
export interface ArtifactPlace {
  /** OID of the database whose files alone are in it. */
  readonly database?: string;
  /** OID of the tablespace that they are in; undefined: paths are the data directory's. */
  readonly tablespace?: string;
  /** Whether it is of those that a server cannot start without, and the last of which must be put in place last: it ends with `global/pg_control`. */
  readonly base: boolean;
}

/** Undefined for an artifact that is no tar of this source's. */
export function placeOf(name: string): ArtifactPlace | undefined {
  const match = /^(?:(base)|wal|(?:database-(\d+))?(?:(?:^|-)tablespace-(\d+))?)(?:\.\d{4,})?\.tar$/.exec(
    name,
  );
  if (!match || name.startsWith('.')) return undefined;
  const [, base, database, tablespace] = match;
  return {
    base: base !== undefined,
    ...(database === undefined ? {} : { database }),
    ...(tablespace === undefined ? {} : { tablespace }),
  };
}
