import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The files that stand in a page of docs/, by name: fenced blocks whose first line names one after the language. */
export async function filesIn(page: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(import.meta.dirname, '../../docs', page), 'utf8');
  const files = new Map<string, string>();
  for (const [, name, content] of text.matchAll(/^```\w+ (\S+)\n([\s\S]*?)^```$/gm)) {
    if (files.has(name!)) throw new Error(`${page} has two files ${name}`);
    files.set(name!, content!);
  }
  if (files.size === 0) throw new Error(`${page} has no files`);
  return files;
}

export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}
