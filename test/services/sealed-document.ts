import { createHash } from 'node:crypto';

/** The text of a manifest, note or record with the checksum that docs/format.md asks for; one that it has is replaced. */
export function sealedDocument(document: object): string {
  const blank = '0'.repeat(64);
  const { checksum: _, ...rest } = document as { readonly checksum?: string };
  const text = `${JSON.stringify({ ...rest, checksum: blank }, null, 2)}\n`;
  return text.replace(
    `"checksum": "${blank}"`,
    `"checksum": "${createHash('sha256').update(text).digest('hex')}"`,
  );
}
