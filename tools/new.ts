// Makes the package of a new plugin, links it into the workspace and renews what is generated:
//   node tools/new.ts <sink|transform|source> <name>
import { execa } from 'execa';
import { join } from 'node:path';
import { kinds, problemWith, writePlugin, type Kind } from './new-plugin.ts';

const root = join(import.meta.dirname, '..');
const [kind, name, ...others] = process.argv.slice(2);

if (!isKind(kind) || name === undefined || others.length > 0) {
  fail(`Usage: npm run new -- <${kinds.join('|')}> <name>`, 2);
} else {
  const problem = problemWith(name);
  if (problem === undefined) await make(kind, name);
  else fail(problem, 2);
}

async function make(kind: Kind, name: string): Promise<void> {
  let folder: string;
  try {
    folder = await writePlugin(root, kind, name);
  } catch (error) {
    return fail((error as Error).message, 1);
  }
  // A long name breaks lines that fitted in the template.
  await execa('oxfmt', [folder], { cwd: root, preferLocal: true, localDir: root });
  const generated = await run('tools/generate.ts');
  // The package.json files are new: links and lockfile follow.
  const linked = generated && (await run('tools/bootstrap.mjs', '--update-lockfile'));
  if (!linked) {
    const rest = generated ? '`npm run deps`' : '`npm run generate` and then `npm run deps`';
    return fail(
      `${folder} was written, but not all that follows: the reason stands above. Mend it and run ${rest}.`,
      1,
    );
  }
  const role = `${folder}/src/${kind}.ts`;
  console.log(`
${folder} is there, and \`use: ${name}\` finds it. Next:

  1. ${role}: every method says what to write; \`src/options.ts\` and \`test/conformance.test.ts\` too
  2. npm test -- ${folder}     until the conformance suite is green
  3. npm run generate          after each change of options, traits or summary
  4. a line in CHANGELOG.md
${kind === 'sink' ? '\ndocs/writing-a-sink.md walks through it.' : ''}`);
}

async function run(script: string, ...parameters: string[]): Promise<boolean> {
  const options = { cwd: root, stdio: 'inherit', reject: false } as const;
  const { failed } = await execa(process.execPath, [join(root, script), ...parameters], options);
  return !failed;
}

function isKind(text: string | undefined): text is Kind {
  return kinds.some((kind) => kind === text);
}

function fail(message: string, status: number): void {
  console.error(message);
  process.exitCode = status;
}
