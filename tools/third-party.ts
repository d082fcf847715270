import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const manifestForm = z.object({
  name: z.string(),
  version: z.string(),
  license: z.string(),
  author: z.union([z.string(), z.object({ name: z.string() })]).optional(),
});

interface Package {
  readonly title: string;
  readonly text: string;
}

/** Licenses that ask for no more than their text and the names of the authors. */
const permissive = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
]);

/**
 * What must go along with code of others: name, version, license and its text of each package of which there are modules. Throws on a license that asks for more than that.
 * @param modules absolute paths; those outside of `node_modules` are our own.
 */
export async function thirdPartyNotices(modules: readonly string[]): Promise<string> {
  const folders = new Set(modules.map(packageFolder).filter((folder) => folder !== undefined));
  if (folders.size === 0) throw new Error('no package of others was found, which cannot be');
  const packages = new Map<string, Package>();
  for (const folder of folders) {
    const one = await readPackage(folder);
    packages.set(one.title, one);
  }
  const all = [...packages.values()].toSorted((a, b) => (a.title < b.title ? -1 : 1));
  const line = '-'.repeat(80);
  return `Packages of others in these files.\n\n${all.map(({ title, text }) => `${line}\n${title}\n\n${text}\n`).join('\n')}`;
}

/** The folder of the package that a module belongs to. */
function packageFolder(module: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(module.replaceAll('\0', ''))?.[0];
}

async function readPackage(folder: string): Promise<Package> {
  const { name, version, license, author } = manifestForm.parse(
    JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')),
  );
  if (!permissive.has(license))
    throw new Error(
      `${name} has the license ${license}: the command may hold none of its code (tools/third-party.ts)`,
    );
  const files = (await readdir(folder))
    .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    .toSorted();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  const by = typeof author === 'object' ? author.name : author;
  const title = `${name} ${version}, ${license}${by === undefined ? '' : `, ${by}`}`;
  const none = `Its package brings no text; that of ${license} stands with others here.`;
  return { title, text: texts.map((text) => text.trim()).join('\n\n') || none };
}
