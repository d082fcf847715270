/** What the table says about a code. */
export interface ErrorRow {
  /** True when the same call may succeed a moment later; the engine then repeats what it can repeat. */
  readonly retryable: boolean;
  /** Exit status of the command when this error ends it: 1 some failed, 2 wrong input, 3 nothing could be done, 130 interrupted. */
  readonly exit: 1 | 2 | 3 | 130;
  /** What it means and what a person does about it; printed in `docs/errors.md`. */
  readonly docs: string;
}

/** Every way in which pgsilo fails. Callers decide by a code's row in {@link errorCodes}, never by a message's words. */
export type ErrorCode =
  | 'config.invalid'
  | 'usage.invalid'
  | 'plugin.unknown'
  | 'plugin.invalid'
  | 'source.unreachable'
  | 'source.denied'
  | 'source.plan-invalid'
  | 'source.unit-missing'
  | 'source.incomplete'
  | 'source.lock-timeout'
  | 'source.tool-missing'
  | 'source.tool-version'
  | 'source.archive-invalid'
  | 'source.failed'
  | 'run.locked'
  | 'run.lock-lost'
  | 'limit.timeout'
  | 'sink.unreachable'
  | 'sink.denied'
  | 'sink.missing'
  | 'sink.not-found'
  | 'sink.exists'
  | 'sink.full'
  | 'sink.too-large'
  | 'sink.corrupt'
  | 'sink.failed'
  | 'transform.corrupt'
  | 'transform.key-missing'
  | 'catalog.not-found'
  | 'catalog.corrupt'
  | 'catalog.format-newer'
  | 'restore.target-exists'
  | 'restore.target-not-empty'
  | 'restore.roles-missing'
  | 'restore.denied'
  | 'restore.refused'
  | 'restore.no-match'
  | 'restore.mismatch'
  | 'restore.failed'
  | 'restore.check-failed'
  | 'restore.safety-backup-failed'
  | 'hook.failed'
  | 'wal.conflict'
  | 'scratch.full'
  | 'aborted'
  | 'internal';

/** The closed table of errors: a code without a row does not compile. */
export const errorCodes: Readonly<Record<ErrorCode, ErrorRow>> = {
  'config.invalid': {
    retryable: false,
    exit: 2,
    docs: 'A pipeline file or an option in it is wrong. The message names file, line and column. Nothing was touched.',
  },
  'usage.invalid': {
    retryable: false,
    exit: 2,
    docs: 'The command line asks for something that does not exist or does not fit together. Nothing was touched.',
  },
  'plugin.unknown': {
    retryable: false,
    exit: 2,
    docs: '`use:` names a plugin that is not installed. `pgsilo plugins` lists what is.',
  },
  'plugin.invalid': {
    retryable: false,
    exit: 2,
    docs: 'A module was found but exports no plugin of the kind that was asked for, or breaks the contract.',
  },
  'source.unreachable': {
    retryable: true,
    exit: 3,
    docs: 'The PostgreSQL server does not answer, or a connection to it broke. Check host, port, network and that the server runs.',
  },
  'source.denied': {
    retryable: false,
    exit: 3,
    docs: 'The server refused the login or the role lacks a privilege. The message names the role and what it needs.',
  },
  'source.plan-invalid': {
    retryable: false,
    exit: 3,
    docs: 'The list of units cannot be trusted: the registry query failed, returned nothing, NULLs, duplicates or reserved names. Nothing was backed up, because an empty or wrong list would look like success.',
  },
  'source.unit-missing': {
    retryable: false,
    exit: 1,
    docs: 'A unit is named by the registry or by --only, but its database or schema does not exist.',
  },
  'source.incomplete': {
    retryable: true,
    exit: 1,
    docs: 'A producer (pg_dump, pg_dumpall, a replication stream) ended before it had delivered everything. What it had written was removed.',
  },
  'source.lock-timeout': {
    retryable: true,
    exit: 1,
    docs: 'A table lock was not granted within `lockTimeout`: a migration or a long transaction holds it.',
  },
  'source.tool-missing': {
    retryable: false,
    exit: 3,
    docs: 'A PostgreSQL client program was not found. Install the client package of the major version that the message names, or set `bin:`.',
  },
  'source.tool-version': {
    retryable: false,
    exit: 3,
    docs: 'The client program is older than the server, or too old to be safe. Install the client package of the version that the message names.',
  },
  'source.archive-invalid': {
    retryable: false,
    exit: 1,
    docs: 'An archive is damaged, cut, or of a version that pgsilo does not read, or it does not hold what its fingerprint says.',
  },
  'source.failed': {
    retryable: false,
    exit: 1,
    docs: 'The server or a client program reported an error that has no row of its own. The cause is printed with it.',
  },
  'run.locked': {
    retryable: false,
    exit: 3,
    docs: 'Another run of this pipeline is going on. The message says who holds the lock since when; `--wait 10m` waits for it.',
  },
  'run.lock-lost': {
    retryable: false,
    exit: 3,
    docs: 'The session that held the run lock ended. The run stopped, because a second one could have started. Units that were committed before stay.',
  },
  'limit.timeout': {
    retryable: true,
    exit: 1,
    docs: 'A job took longer than `limits.jobTimeout`. Its processes and server sessions were ended.',
  },
  'sink.unreachable': {
    retryable: true,
    exit: 3,
    docs: 'The store does not answer or broke the connection.',
  },
  'sink.denied': {
    retryable: false,
    exit: 3,
    docs: 'The store refused: credentials, permissions, or a path that is not writable.',
  },
  'sink.missing': {
    retryable: false,
    exit: 3,
    docs: 'The place itself is not there: the bucket, container or share that the pipeline file names. Create it, or correct its name. Nothing is repeated, and the sink takes no part in the run.',
  },
  'sink.not-found': {
    retryable: false,
    exit: 1,
    docs: 'An object is not in the store. If a manifest names it, the backup is damaged in this sink.',
  },
  'sink.exists': {
    retryable: false,
    exit: 1,
    docs: 'An object of this key is there already. Objects are never overwritten.',
  },
  'sink.full': {
    retryable: false,
    exit: 1,
    docs: 'The store has no space or quota left. What had been written of the object was removed.',
  },
  'sink.too-large': {
    retryable: false,
    exit: 1,
    docs: 'An object is larger than the store or the settings of its sink allow. The hint says which setting, if any, makes room. The unit is not tried again; other units and sinks go on.',
  },
  'sink.corrupt': {
    retryable: false,
    exit: 1,
    docs: 'A stored object is not what was written: its size or SHA-256 differs, or it ended early. Use the copy in another sink.',
  },
  'sink.failed': {
    retryable: true,
    exit: 1,
    docs: 'The store failed in a way that has no row of its own. The cause is printed with it.',
  },
  'transform.corrupt': {
    retryable: false,
    exit: 1,
    docs: 'Stored bytes do not decode: they were altered or cut. Use the copy in another sink, or another backup.',
  },
  'transform.key-missing': {
    retryable: false,
    exit: 1,
    docs: 'The key that decrypts a backup is not available here.',
  },
  'catalog.not-found': {
    retryable: false,
    exit: 1,
    docs: 'There is no backup that fits the request. `pgsilo list` shows those that there are.',
  },
  'catalog.corrupt': {
    retryable: false,
    exit: 1,
    docs: 'A manifest is not what was written: its own checksum is wrong or a field is missing. Other backups are not affected.',
  },
  'catalog.format-newer': {
    retryable: false,
    exit: 3,
    docs: 'A manifest was written by a later pgsilo in a format that this one does not know. Upgrade pgsilo.',
  },
  'restore.target-exists': {
    retryable: false,
    exit: 2,
    docs: 'The database or place to restore into is there already. Choose another with --to, or --replace the live one.',
  },
  'restore.target-not-empty': {
    retryable: false,
    exit: 2,
    docs: 'The place to restore into holds something. pgsilo does not mix a backup into what is there.',
  },
  'restore.roles-missing': {
    retryable: false,
    exit: 3,
    docs: 'The backup needs roles that the server lacks. Restore `@globals` first, or use --no-owner.',
  },
  'restore.denied': {
    retryable: false,
    exit: 3,
    docs: 'The role that restores may not do what the backup needs. The message names each entry and the privilege.',
  },
  'restore.refused': {
    retryable: false,
    exit: 2,
    docs: 'What was asked cannot be done with this kind of backup, or was not confirmed. The message says what can be done instead. Nothing was touched.',
  },
  'restore.no-match': {
    retryable: false,
    exit: 2,
    docs: 'A name given with --table matches nothing in the backup.',
  },
  'restore.mismatch': {
    retryable: false,
    exit: 1,
    docs: 'What was restored differs from the fingerprint that was taken with the backup. It was not put in place of anything.',
  },
  'restore.failed': {
    retryable: false,
    exit: 1,
    docs: 'A step of a restore failed. The live database was not changed; the message says what was left and how to remove it.',
  },
  'restore.check-failed': {
    retryable: false,
    exit: 1,
    docs: "A copy that was restored to prove a backup is not what it should be: its schema is not the archive's, or one of the `checks:` of the pipeline file did not give the answer that it must. The message says which. The backup stays; `pgsilo list` shows that it was not proved.",
  },
  'restore.safety-backup-failed': {
    retryable: false,
    exit: 3,
    docs: 'What `--replace` would replace could not be backed up first, so the restore was not begun and the live one was not touched. When it is beyond reading, or the backups are not within reach, `--no-safety-backup` restores without it; the replaced one is kept under another name anyway, unless `--drop-old` is given.',
  },
  'hook.failed': {
    retryable: false,
    exit: 3,
    docs: 'A command of `hooks:` could not be started, exited with another status than 0, was ended by a signal or took longer than its `timeout`. After a failed `before-…` hook nothing was done and nothing was touched; a failed `after-…` hook is reported, and makes the exit status 1, when the work itself was done.',
  },
  'wal.conflict': {
    retryable: false,
    exit: 1,
    docs: 'Under the name of a file of the write-ahead log lies another content. Two servers archive into one pipeline, or a restored server goes on under the timeline of the live one. Nothing was overwritten, and such a file is not given to a recovery; the message names both.',
  },
  'scratch.full': {
    retryable: false,
    exit: 3,
    docs: 'The scratch folder has too little space. Set `scratch:` to a larger disk.',
  },
  aborted: {
    retryable: false,
    exit: 130,
    docs: 'The run was interrupted. Processes and server sessions were ended, and nothing is half-committed.',
  },
  internal: {
    retryable: false,
    exit: 3,
    docs: 'A defect of pgsilo or of a plugin. Please report it with the output of the same command and `--log-level debug`.',
  },
};
