import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeUnit } from '@pgsilo/plugin';
import type { Receipt } from '@pgsilo/plugin';

/** Absolute paths. */
export interface ReceiptFiles {
  readonly text: string;
  readonly signature: string;
}

/** Writes a receipt and its signature, durably and over nothing. `gpg --verify SIGNATURE TEXT` proves it. */
export async function writeReceipt(
  receipt: Receipt,
  folder: string,
  unit: string,
  at: Date,
): Promise<ReceiptFiles> {
  const stamp = at.toISOString().replaceAll(/[-:.]/g, '');
  const text = join(folder, `pgsilo-keys-destroyed-${encodeUnit(unit)}-${stamp}.txt`);
  const files = { text, signature: `${text}.asc` };
  await writeNew(files.text, receipt.text);
  await writeNew(files.signature, receipt.signature);
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return files;
}

async function writeNew(file: string, contents: string): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(contents);
    await handle.sync();
  } catch (error) {
    await unlink(file).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
}
