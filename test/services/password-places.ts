import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from './server.ts';

/** How a call of pgsilo is told a password. */
export interface PasswordPlace {
  /** YAML, for `connection:`. */
  readonly connection: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Every place that the password of a role can be given in; none: nowhere. */
export type PasswordPlaces = Readonly<Record<string, (password: string) => PasswordPlace>>;

export function passwordPlaces(server: TestServer, role: string): PasswordPlaces {
  let files = 0;
  const fileOf = (text: string): string => {
    files += 1;
    const path = join(server.folder, `secret-${files}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const passwordFile = (password: string): string =>
    fileOf(`# mine\n127.0.0.1:${server.port}:*:${role}:${password.replaceAll(/[\\:]/g, String.raw`\$&`)}\n`);
  const url = (password?: string): string => urlOf(server, role, password);
  const parts = `host=127.0.0.1 port=${server.port} user=${role} dbname=postgres`;
  return {
    'the URL, from a variable': (password) => ({
      connection: '${env:SILO_URL}',
      env: { SILO_URL: url(password) },
    }),
    'keywords and values': (password) => ({
      connection: '${env:SILO_URL}',
      env: { SILO_URL: `${parts} password='${password.replaceAll(/[\\']/g, String.raw`\$&`)}'` },
    }),
    'the URL, from a file': (password) => ({ connection: `\${file:${fileOf(url(password))}}`, env: {} }),
    'the pipeline file': (password) => ({ connection: JSON.stringify(url(password)), env: {} }),
    PGPASSWORD: (password) => ({ connection: url(), env: { PGPASSWORD: password } }),
    PGPASSFILE: (password) => ({ connection: url(), env: { PGPASSFILE: passwordFile(password) } }),
    'a password file that others may read': (password) => {
      const path = passwordFile(password);
      chmodSync(path, 0o644);
      return { connection: url(), env: { PGPASSFILE: path } };
    },
    'passfile= in the URL': (password) => ({
      connection: JSON.stringify(`${url()}?passfile=${encodeURIComponent(passwordFile(password))}`),
      env: {},
    }),
    'a service file': (password) => ({
      connection: 'service=silo',
      env: {
        PGSERVICEFILE: fileOf(`[silo]\n${parts.replaceAll(' ', '\n')}\npassword=${password}\n`),
      },
    }),
  };
}

export function urlOf(server: TestServer, role: string, password?: string): string {
  const login = password === undefined ? role : `${role}:${encodeURIComponent(password)}`;
  return `postgresql://${login}@127.0.0.1:${server.port}/postgres`;
}
