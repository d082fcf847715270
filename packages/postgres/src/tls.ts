import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { PgsiloError } from '@pgsilo/plugin';
import { certificateFolder } from './connection-files.ts';
import type { ServerAddress, ServerSettings } from './connection.ts';

/** One way to speak to a server: in the clear, or with these options of TLS. */
export type Transport = false | ConnectionOptions;

/** The transports to try for an address, in order, with libpq's meaning of sslmode. Throws `config.invalid` when a file that it needs is not there. */
export function transportsFor(settings: ServerSettings, address: ServerAddress): Transport[] {
  if (address.host.startsWith('/')) return [false];
  const given = settings.parameters['sslmode'];
  const root = settings.parameters['sslrootcert'];
  const mode =
    root === 'system'
      ? 'verify-full'
      : (given ?? (settings.parameters['requiressl'] === '1' ? 'require' : 'prefer'));
  switch (mode) {
    case 'disable':
      return [false];
    case 'allow':
      return [false, tlsOptions(settings, mode)];
    case 'prefer':
      return [tlsOptions(settings, mode), false];
    default:
      return [tlsOptions(settings, mode)];
  }
}

function tlsOptions(settings: ServerSettings, mode: string): ConnectionOptions {
  const { parameters } = settings;
  const folder = certificateFolder();
  const root = parameters['sslrootcert'] ?? join(folder, 'root.crt');
  const rootIsThere = root !== 'system' && existsSync(root);
  if (mode.startsWith('verify') && root !== 'system' && !rootIsThere) {
    throw new PgsiloError(
      'config.invalid',
      `sslmode=${mode} needs the root certificate ${root}, and it is not there`,
      {
        hint: 'Set sslrootcert to the file, or sslrootcert=system for the authorities that this machine trusts.',
      },
    );
  }
  // As in libpq: a root certificate that is there is used in every mode, and only verify-full looks at the name.
  const verified = root === 'system' || rootIsThere;
  const crl = parameters['sslcrl'] ?? join(folder, 'root.crl');
  const certificate = parameters['sslcert'] ?? join(folder, 'postgresql.crt');
  const key = parameters['sslkey'] ?? join(folder, 'postgresql.key');
  return {
    rejectUnauthorized: verified,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(rootIsThere ? { ca: read(root) } : {}),
    ...(verified && existsSync(crl) ? { crl: read(crl) } : {}),
    ...(existsSync(certificate) || parameters['sslcert'] ? { cert: read(certificate), key: read(key) } : {}),
    ...minimum(parameters['ssl_min_protocol_version']),
  };
}

function minimum(version: string | undefined): ConnectionOptions {
  return version === 'TLSv1.2' || version === 'TLSv1.3' ? { minVersion: version } : {};
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new PgsiloError('config.invalid', `the certificate or key ${path} cannot be read`, { cause });
  }
}
