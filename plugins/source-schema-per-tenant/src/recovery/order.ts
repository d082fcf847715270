import type { BackupView, Context } from '@pgsilo/plugin';
import { listed, missingRoles, openSession, showRoles } from '@pgsilo/postgres';
import { readNeeds } from '../about.ts';
import type { SourceSetup } from '../setup.ts';
import { schemaOf } from '../units.ts';
import { readRoles } from './roles.ts';

/**
 * What belongs to the database first; what tenants share before them; each schema behind those that it needs. Schemas that need each other in a circle come one after another:
 * who goes first does without what is made later.
 */
export function stagesOf(
  { options }: SourceSetup,
  backups: readonly BackupView[],
): readonly (readonly BackupView[])[] {
  const shared = new Set(options.shared);
  const bySchema = new Map<string, BackupView>();
  const database: BackupView[] = [];
  for (const backup of backups) {
    const schema = schemaOf(backup.unit);
    if (schema === undefined) database.push(backup);
    else bySchema.set(schema, backup);
  }
  const [common, own] = [new Set<string>(), new Set<string>()];
  for (const schema of bySchema.keys()) (shared.has(schema) ? common : own).add(schema);
  const stages = [common, own].flatMap((schemas) => ordered(schemas, bySchema));
  return [database, ...stages].filter((stage) => stage.length > 0);
}

function ordered(
  schemas: ReadonlySet<string>,
  bySchema: ReadonlyMap<string, BackupView>,
): (readonly BackupView[])[] {
  const needs = new Map(
    [...schemas].map((schema) => {
      const names = readNeeds(bySchema.get(schema)!.facts.about)?.needsSchemas.map(({ name }) => name) ?? [];
      return [schema, names.filter((name) => name !== schema && schemas.has(name))];
    }),
  );
  const stages: BackupView[][] = [];
  const level = new Map<string, number>();
  for (const circle of circles(needs)) {
    // All that a circle needs has its level by now.
    const outside = circle.flatMap((schema) => needs.get(schema)!.map((name) => level.get(name) ?? -1));
    let at = Math.max(-1, ...outside) + 1;
    for (const schema of circle) {
      (stages[at] ??= []).push(bySchema.get(schema)!);
      level.set(schema, at);
      at += 1;
    }
    // Who needs one of a circle waits for all of it.
    for (const schema of circle) level.set(schema, Math.max(...circle.map((each) => level.get(each)!)));
  }
  return stages.map((stage) => stage ?? []);
}

/** The strongly connected components of the graph, each behind those that it points at (Tarjan's algorithm, with a stack of its own: ten thousand schemas may make a chain). */
function circles(graph: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const found: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const isOpen = new Set<string>();
  const enter = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    open.push(node);
    isOpen.add(node);
  };
  const lower = (node: string, to: number): void => void low.set(node, Math.min(low.get(node)!, to));
  for (const root of graph.keys()) {
    if (index.has(root)) continue;
    enter(root);
    const path = [{ node: root, next: 0 }];
    while (path.length > 0) {
      const step = path.at(-1)!;
      const target = graph.get(step.node)![step.next];
      step.next += 1;
      if (target !== undefined) {
        if (!index.has(target)) {
          enter(target);
          path.push({ node: target, next: 0 });
        } else if (isOpen.has(target)) lower(step.node, index.get(target)!);
        continue;
      }
      path.pop();
      const parent = path.at(-1);
      if (parent) lower(parent.node, low.get(step.node)!);
      if (low.get(step.node) !== index.get(step.node)) continue;
      const circle = open.splice(open.lastIndexOf(step.node));
      for (const node of circle) isOpen.delete(node);
      found.push(circle);
    }
  }
  return found;
}

/** Roles that backups need and the server lacks, as far as the backups' manifests tell: a warning, because whoever needs none of them comes back all the same. */
export async function missingRolesWarnings(
  { settings }: SourceSetup,
  backups: readonly BackupView[],
  context: Context,
): Promise<readonly string[]> {
  const needed = new Set<string>();
  let silent = 0;
  for (const { facts } of backups) {
    const roles = readRoles(facts.about);
    if (roles) for (const role of roles) needed.add(role);
    else silent += 1;
  }
  const session = await openSession(settings, {
    applicationName: 'pgsilo restore all',
    purpose: 'look for the roles that the backups need',
    signal: context.signal,
  });
  try {
    const missing = (await missingRoles(session, needed)).filter((role) => !role.startsWith('pg_'));
    return [
      ...(missing.length > 0
        ? [
            `the server lacks roles that the backups need, and what needs them will not be restored: ${listed(showRoles(missing), 50)}. Create them first (CREATE ROLE … NOLOGIN), or go without owners and grants (--no-owner) where no policy names them`,
          ]
        : []),
      ...(silent > 0
        ? [
            `which roles ${silent === 1 ? 'one backup needs' : `${silent} backups need`} is not known before it is fetched: it was made by an earlier pgsilo`,
          ]
        : []),
    ];
  } finally {
    await session.close();
  }
}
