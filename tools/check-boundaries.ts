// Fails when a dependency between packages points the wrong way: in nx's graph, in an import, in a package.json.
import { execa } from 'execa';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { findBreaches, type Edge } from './boundaries.ts';
import { readProjects } from './workspace.ts';

const root = join(import.meta.dirname, '..');
const graphForm = z.object({
  graph: z.object({
    nodes: z.record(z.string(), z.unknown()),
    dependencies: z.record(z.string(), z.array(z.object({ source: z.string(), target: z.string() }))),
  }),
});

const projects = await readProjects(root, { imports: true });
const { nodes, edges } = await nxGraph();
const unknown = projects.filter(({ manifest }) => !(manifest.name in nodes));
const breaches = [
  ...unknown.map(({ folder }) => `nx graph: ${folder} is not in it`),
  ...findBreaches(projects, edges),
];
for (const breach of breaches) console.error(breach);
const imports = projects.reduce((sum, project) => sum + project.imports.length, 0);
console.log(
  `${projects.length} projects, ${edges.length} edges, ${imports} imports: ${breaches.length} wrong`,
);
process.exitCode = breaches.length === 0 ? 0 : 1;

async function nxGraph(): Promise<{ nodes: Record<string, unknown>; edges: Edge[] }> {
  // Not in the tree: it may belong to another user, and a graph kept from an earlier run proves nothing.
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-graph-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const file = join(folder, 'graph.json');
  await execa('nx', ['graph', `--file=${file}`], {
    cwd: root,
    preferLocal: true,
    localDir: root,
    stdin: 'ignore',
    env: {
      NX_DAEMON: 'false',
      // Its plugins in its own process: workers would outlive it when it is killed.
      NX_ISOLATE_PLUGINS: 'false',
      NX_TUI: 'false',
      NX_NO_CLOUD: 'true',
      NX_CACHE_DIRECTORY: join(folder, 'cache'),
      NX_WORKSPACE_DATA_DIRECTORY: join(folder, 'data'),
    },
  });
  const { graph } = graphForm.parse(JSON.parse(await readFile(file, 'utf8')));
  return { nodes: graph.nodes, edges: Object.values(graph.dependencies).flat() };
}
