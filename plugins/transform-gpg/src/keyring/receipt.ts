import { createMessage, sign } from 'openpgp';
import type { PrivateKey } from 'openpgp';
import type { Destruction, Receipt, ReceiptFacts } from '@pgsilo/plugin';
import { openpgpConfig } from '../openpgp-config.ts';

/** Names stand in quotes with escapes, so that none can pass for a line of its own. */
export function receiptText(destruction: Destruction, facts: ReceiptFacts): string {
  const quoted = (name: string): string => JSON.stringify(name);
  const { unit, keys, folders } = destruction;
  const { pipelines, at, backups, remaining } = facts;
  return [
    'pgsilo: encryption keys destroyed',
    '',
    `unit      ${quoted(unit)}`,
    `written   ${at.toISOString()}`,
    '',
    `Pipelines that were looked at: ${pipelines.map(quoted).join(', ')}; nothing is known here of others.`,
    '',
    'Keys of which the private half was removed:',
    ...keys.map(
      ({ fingerprint, created, destroyedAt, destroyedBy }) =>
        `  ${fingerprint}  made ${created}  destroyed ${destroyedAt}  by ${quoted(destroyedBy)}`,
    ),
    '',
    'Folders from which they were removed:',
    ...folders.map((folder) => `  ${quoted(folder)}`),
    '',
    'Backups that nobody can read any more, wherever copies of them are:',
    ...orNone(
      backups.map(
        ({ pipeline, backup, sinks }) =>
          `  ${quoted(backup)}  by ${quoted(pipeline)}  in ${sinks.map(quoted).join(', ')}`,
      ),
    ),
    '',
    "What else still holds the unit's data, as far as is known here:",
    ...orNone(
      remaining.map(
        ({ what, until }) =>
          `  ${quoted(what)}  ${until === undefined ? 'without an end' : `until ${until}`}`,
      ),
    ),
    '',
    'Copies of the keyring that are not among the folders above were not touched.',
    '',
  ].join('\n');
}

function orNone(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? ['  none'] : lines;
}

export async function signReceipt(text: string, key: PrivateKey, at: Date): Promise<Receipt> {
  const message = await createMessage({ binary: new Uint8Array(Buffer.from(text)) });
  const signature = await sign({
    message,
    signingKeys: key,
    detached: true,
    date: at,
    format: 'armored',
    config: openpgpConfig,
  });
  return { text, signature };
}
