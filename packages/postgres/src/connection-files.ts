import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import type { ConnectionParameters } from './connection-string.ts';

/** The environment, or what a test puts in its place. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The parameters of a service, from the person's own service file or the machine's. Throws `config.invalid` when it is in neither. */
export function readService(name: string, file: string | undefined, env: Environment): ConnectionParameters {
  const files = [
    file ?? env['PGSERVICEFILE'] ?? join(homeOf(env), '.pg_service.conf'),
    join(env['PGSYSCONFDIR'] ?? '/etc/postgresql-common', 'pg_service.conf'),
  ];
  for (const path of files) {
    const found = sectionOf(readIfThere(path), name);
    if (found) return found;
  }
  throw new PgsiloError(
    'config.invalid',
    `the service ${JSON.stringify(name)} is in none of ${files.join(', ')}`,
  );
}

function sectionOf(text: string | undefined, name: string): ConnectionParameters | undefined {
  let found: ConnectionParameters | undefined;
  for (const line of (text ?? '').split('\n').map((line) => line.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      if (found) return found;
      if (line === `[${name}]`) found = {};
    } else if (found) {
      const equals = line.indexOf('=');
      if (equals > 0) found[line.slice(0, equals).trim()] ??= line.slice(equals + 1).trim();
    }
  }
  return found;
}

/** What a line of the password file is matched with. */
export interface PasswordFor {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/** The password of the first fitting line of a password file (`~/.pgpass`). A file that others may read is not used, as in libpq. */
export function passwordFromFile(
  path: string | undefined,
  wanted: PasswordFor,
  env: Environment = process.env,
): string | undefined {
  const file = passwordFile(path, env);
  const text = readIfThere(file);
  if (text === undefined || isOpenToOthers(file)) return undefined;
  const fields = [
    wanted.host.startsWith('/') ? 'localhost' : wanted.host,
    String(wanted.port),
    wanted.database,
    wanted.user,
  ];
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const parts = [...line.matchAll(/((?:[^:\\]|\\.)*)(?::|$)/gs)].map((match) => match[1]!);
    const values = parts.map((part) => part.replaceAll(/\\(.)/gs, '$1'));
    const fits = fields.every((field, index) => parts[index] === '*' || values[index] === field);
    if (fits && values.length > 4) return values[4];
  }
  return undefined;
}

/** The password file, when it is there and not used because others may read it. */
export function unusedPasswordFile(
  path: string | undefined,
  env: Environment = process.env,
): string | undefined {
  const file = passwordFile(path, env);
  return readIfThere(file) !== undefined && isOpenToOthers(file) ? file : undefined;
}

function passwordFile(path: string | undefined, env: Environment): string {
  return path ?? join(homeOf(env), '.pgpass');
}

function isOpenToOthers(file: string): boolean {
  return (statSync(file).mode & 0o077) !== 0;
}

/** The folder of the person's certificates and keys. */
export function certificateFolder(env: Environment = process.env): string {
  return join(homeOf(env), '.postgresql');
}

function homeOf(env: Environment): string {
  return env['HOME'] ?? homedir();
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
