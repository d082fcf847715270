import { realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import { runTool } from './child.ts';
import { isProgram, usualFolders } from './program-folders.ts';
import type { Program } from './program.ts';

/** Client programs that pgsilo starts. */
export type ToolName = 'pg_dump' | 'pg_dumpall' | 'pg_restore' | 'pg_verifybackup' | 'psql';

/** Where the client programs are, and how they are started. */
export interface ClientPrograms {
  /** The folder to take them from; nowhere else is looked then. */
  readonly bin?: string | undefined;
  /** A command that runs them somewhere else: `['docker', 'exec', '-i', 'postgres']`. */
  readonly exec?: readonly string[] | undefined;
  /** Where the server is, seen from there; undefined: the programs' own defaults. */
  readonly execHost?: string | undefined;
  readonly execPort?: number | undefined;
  /** Whether `exec` hands its arguments to a shell, as ssh does. Default: found out from the command's name. */
  readonly execQuoting?: 'none' | 'posix' | undefined;
}

/** A client program that was found and asked for its version. */
export interface Tool extends Program {
  readonly name: ToolName;
  /** `15.18` */
  readonly version: string;
  readonly major: number;
}

/** First minor releases of each major in which `pg_dump` and libpq are safe to use with a server that is not trusted (CVE-2026-6477, CVE-2025-8714). */
const safeMinors: Readonly<Record<number, number>> = { 14: 23, 15: 18, 16: 14, 17: 10, 18: 4 };

const probeTimeout = 60_000;

/** What was found, by name and place; asking a program for its version once in a process is enough. */
const found = new Map<string, Promise<Tool[]>>();

/**
 * The client program for a server: of the server's own major version if there is one, else the oldest that is newer.
 * Throws `source.tool-missing` when there is none, `source.tool-version` when all are older than the server.
 * @param measure what has that version, for messages, when it is not the server.
 */
export async function findTool(
  name: ToolName,
  serverMajor: number,
  programs: ClientPrograms,
  signal?: AbortSignal,
  measure: string = 'the server',
): Promise<Tool> {
  if (signal) throwIfAborted(signal);
  const key = JSON.stringify([name, programs.bin, programs.exec, programs.execQuoting, process.env['PATH']]);
  let pending = found.get(key);
  if (!pending) {
    pending = findAll(name, programs);
    found.set(key, pending);
    pending.catch(() => found.delete(key));
  }
  const tools = await pending;
  if (tools.length === 0) {
    throw new PgsiloError('source.tool-missing', `${name} was not found ${placesOf(programs)}`, {
      hint: installHint(serverMajor),
    });
  }
  const usable = tools.filter((tool) => tool.major >= serverMajor).sort((a, b) => a.major - b.major);
  if (usable[0]) return usable[0];
  const versions = [...new Set(tools.map((tool) => tool.version))].join(', ');
  throw new PgsiloError(
    'source.tool-version',
    `${name} ${versions} is older than ${measure}, which is of version ${serverMajor}`,
    {
      hint: installHint(serverMajor),
    },
  );
}

/** The minor release that the tool should have been updated to, as it has a known security defect; undefined when it is well. */
export function saferVersion(tool: Tool): string | undefined {
  const safe = safeMinors[tool.major];
  const minor = Number(tool.version.split('.')[1]);
  return safe !== undefined && minor < safe ? `${tool.major}.${safe}` : undefined;
}

async function findAll(name: ToolName, programs: ClientPrograms): Promise<Tool[]> {
  if (programs.exec) {
    const command = programs.bin ? `${programs.bin.replace(/\/+$/, '')}/${name}` : name;
    return [await probe({ name, command, prefix: programs.exec, quoting: quotingOf(programs) })];
  }
  const folders = programs.bin ? [programs.bin] : usualFolders();
  const paths = [
    ...new Map(
      folders
        .map((folder) => join(folder, name))
        .filter(isProgram)
        .map((path) => [realpathSync(path), path]),
    ).values(),
  ];
  // Debian's wrapper in /usr/bin picks a version by rules of its own; the real programs are in the folders beside it.
  const real = paths.filter((path) => basename(realpathSync(path)) !== 'pg_wrapper');
  const tools = await Promise.allSettled(
    (real.length ? real : paths).map((command) => probe({ name, command, prefix: [], quoting: 'none' })),
  );
  const working = tools.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const broken = tools.find((result) => result.status === 'rejected');
  if (working.length === 0 && broken) throw broken.reason;
  return working;
}

async function probe(tool: Omit<Tool, 'version' | 'major'>): Promise<Tool> {
  const doing = `${tool.prefix.length ? `${tool.prefix[0]} … ` : ''}${tool.command} --version`;
  const { stdout } = await runTool(tool, ['--version'], { doing, signal: AbortSignal.timeout(probeTimeout) });
  const version = /\s(\d+(?:\.\d+)*)/.exec(stdout)?.[1];
  if (!stdout.startsWith(tool.name) || !version) {
    throw new PgsiloError(
      'source.tool-missing',
      `${doing} did not answer like a client program of PostgreSQL: ${JSON.stringify(stdout.slice(0, 200))}`,
    );
  }
  return { ...tool, version, major: Number(version.split('.')[0]) };
}

function quotingOf(programs: ClientPrograms): 'none' | 'posix' {
  if (programs.execQuoting) return programs.execQuoting;
  return programs.exec?.some((part) => basename(part) === 'ssh') ? 'posix' : 'none';
}

function placesOf(programs: ClientPrograms): string {
  if (programs.exec) return `by ${programs.exec[0]}`;
  return programs.bin ? `in ${programs.bin}` : 'in PATH or where distributions put it';
}

function installHint(major: number): string {
  return (
    `Install the client programs of PostgreSQL ${major} or later (Debian and Ubuntu: apt-get install postgresql-client-${major}; ` +
    `RHEL: dnf install postgresql${major}; macOS: brew install postgresql@${major}), or set bin: to their folder.`
  );
}
