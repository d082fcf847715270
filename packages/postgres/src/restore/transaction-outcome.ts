import { openSession, type Session } from '../session.ts';

/** How long the question may take, in milliseconds. */
const patience = 60_000;

/** What became of a transaction whose COMMIT was not answered. Asked in a session of its own; `lost` only says where. */
export async function transactionOutcome(
  lost: Session,
  id: string,
): Promise<'committed' | 'aborted' | 'in progress' | 'unknown'> {
  const session = await openSession(lost.settings, {
    database: lost.database,
    applicationName: 'pgsilo cleanup',
    purpose: 'ask what became of the restore',
    signal: AbortSignal.timeout(patience),
  });
  try {
    const [row] = await session.query<{ status: 'committed' | 'aborted' | 'in progress' | null }>(
      'SELECT pg_xact_status($1::text::xid8) AS status',
      [id],
    );
    return row?.status ?? 'unknown';
  } finally {
    await session.close();
  }
}
