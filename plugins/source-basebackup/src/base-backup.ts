import { PgsiloError } from '@pgsilo/plugin';
import { quoteLiteral, sqlState, type ReplicationSession } from '@pgsilo/postgres';
import type { Options } from './options.ts';

/** What comes, in the order in which the server sends it. */
export type BackupStreamItem =
  /** A tar begins: that of a tablespace, or (undefined) of the data directory, which comes last. */
  | { readonly type: 'archive'; readonly tablespace: string | undefined }
  /** The server's own list of all files begins. */
  | { readonly type: 'manifest' }
  | { readonly type: 'data'; readonly bytes: Uint8Array };

export interface Position {
  readonly lsn: string;
  readonly timeline: number;
}

/** PostgreSQL's "data corrupted": what it says, after the last byte, when the checksum of a page was wrong. */
const dataCorrupted = 'XX001';

/** One BASE_BACKUP command ("Streaming Replication Protocol" in PostgreSQL's manual; the messages are those of version 15 and later). */
export class BaseBackup {
  readonly #session: ReplicationSession;
  readonly #command: string;
  readonly #tablespaces = new Map<string, string | undefined>();
  #start: Position | undefined;
  #stop: Position | undefined;
  /** What the server warned of. */
  readonly warnings: string[] = [];
  /** What the server said about damage when it had sent everything; undefined: nothing. */
  damage: string | undefined;

  /** @param checksums whether the server is to verify the checksums of pages, which it can where the cluster has them. */
  constructor(session: ReplicationSession, label: string, options: Options, checksums: boolean) {
    this.#session = session;
    const parts = [
      `LABEL ${quoteLiteral(label)}`,
      `CHECKPOINT '${options.checkpoint}'`,
      'WAL true',
      // It is in the backup; that the archive has it too would be waited for, without an end where archiving fails.
      'WAIT false',
      `MANIFEST 'yes'`,
      `MANIFEST_CHECKSUMS 'CRC32C'`,
      `VERIFY_CHECKSUMS ${checksums}`,
      // In kilobytes.
      ...(options.maxRate === undefined ? [] : [`MAX_RATE ${Math.floor(options.maxRate / 1024)}`]),
    ];
    this.#command = `BASE_BACKUP (${parts.join(', ')})`;
  }

  /** Where recovery begins; known from the first item on. */
  get start(): Position {
    return known(this.#start);
  }

  /** Up to where recovery must go; known at the end. */
  get stop(): Position {
    return known(this.#stop);
  }

  /** Folders of the tablespaces that have tars of their own, by OID; known from the first item on. */
  get tablespaces(): ReadonlyMap<string, string> {
    return new Map(
      [...this.#tablespaces].flatMap(([oid, folder]) => (folder === undefined ? [] : [[oid, folder]])),
    );
  }

  /**
   * All that the server sends. The end comes when it has said that all of it was sent; damage that it tells of after that is no error here but stands in `damage`.
   * Throws `source.incomplete` for what is against the protocol.
   */
  async *items(): AsyncGenerator<BackupStreamItem, void> {
    try {
      const batches = this.#session.stream(
        this.#command,
        (result, row) => this.#take(result, row),
        (warning) => this.warnings.push(warning),
      );
      for await (const batch of batches)
        for (const message of batch) {
          const item = this.#read(message);
          if (item) yield item;
        }
    } catch (error) {
      const { cause } = error as { readonly cause?: unknown };
      // Sent after the position of the stop: whatever there is has come.
      if (!this.#stop || sqlState(cause) !== dataCorrupted) throw error;
      this.damage = (cause as Error).message;
    }
    if (!this.#stop) throw incomplete('without the position at which it stopped');
  }

  #take(result: number, row: Readonly<Record<string, string | null>>): void {
    const { recptr, tli, spcoid, spclocation } = row;
    if (recptr && tli) {
      const position = { lsn: recptr, timeline: Number(tli) };
      if (result === 0) this.#start = position;
      else this.#stop = position;
    } else if (spcoid) this.#tablespaces.set(spcoid, spclocation ?? undefined);
  }

  #read(message: Uint8Array): BackupStreamItem | undefined {
    switch (String.fromCharCode(message[0]!)) {
      case 'd':
        return { type: 'data', bytes: message.subarray(1) };
      case 'n':
        return { type: 'archive', tablespace: this.#tablespaceOf(message.subarray(1)) };
      case 'm':
        return { type: 'manifest' };
      // How far it is: counted here too.
      case 'p':
        return undefined;
      default:
        throw incomplete(`with a message of an unknown kind (${message[0]})`);
    }
  }

  /** The message is the archive's name and the tablespace's folder, each ended by a zero; the folder is empty for the data directory. */
  #tablespaceOf(bytes: Uint8Array): string | undefined {
    const [name, folder] = Buffer.from(bytes).toString('latin1').split('\0');
    if (!folder) return undefined;
    const oid = /^(\d+)\.tar$/.exec(name ?? '')?.[1];
    if (oid === undefined) throw incomplete(`with an archive of an unknown name (${JSON.stringify(name)})`);
    return oid;
  }
}

function known(position: Position | undefined): Position {
  if (!position) throw incomplete('without its position in the write-ahead log');
  return position;
}

function incomplete(how: string): PgsiloError {
  return new PgsiloError('source.incomplete', `the server sent a base backup ${how}`);
}
