// Writes the files that follow from what stands elsewhere; with --check only says which of them are stale.
//   node tools/generate.ts [--check] [repository]
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { builtinsModule, cliManifest } from './generate-builtins.ts';
import { pluginIndex, pluginReadme } from './generate-docs.ts';
import { errorsPage, schemaFile } from './generate-pages.ts';
import { readPlugins, readText } from './plugins.ts';

const parameters = process.argv.slice(2);
const check = parameters.includes('--check');
const root = resolve(
  parameters.find((parameter) => parameter !== '--check') ?? join(import.meta.dirname, '..'),
);

const { plugins, problems } = await readPlugins(root);
const wanted: [path: string, text: string][] = [
  ['packages/cli/src/builtins.ts', builtinsModule(plugins)],
  [
    'packages/cli/package.json',
    cliManifest(await readText(join(root, 'packages/cli/package.json')), plugins),
  ],
  ['docs/plugins.md', pluginIndex(await readText(join(root, 'docs/plugins.md')), plugins)],
  ['docs/errors.md', errorsPage()],
  ['examples/pipeline.schema.json', await schemaFile(plugins)],
];
for (const plugin of plugins) {
  const path = `${plugin.folder}/README.md`;
  if (plugin.definition)
    wanted.push([path, pluginReadme(await readText(join(root, path)), plugin.definition)]);
}

let stale = 0;
for (const [path, text] of wanted) {
  if ((await readText(join(root, path))) === text) continue;
  stale += 1;
  console.log(`${check ? 'stale' : 'written'}: ${path}`);
  if (check) continue;
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}
for (const problem of problems) console.error(problem);
console.log(
  `${wanted.length} generated files, ${stale} ${check ? 'stale: run `npm run generate`' : 'written'}`,
);
process.exitCode = problems.length > 0 || (check && stale > 0) ? 1 : 0;
