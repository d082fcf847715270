import { PgsiloError } from '@pgsilo/plugin';

/** libpq's connection parameters by keyword, as far as they were given; empty values are left out, as libpq does. */
export type ConnectionParameters = Record<string, string>;

const keywords = new Set(
  `host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout client_encoding options application_name
  fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout replication gssencmode sslmode
  requiressl sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni requirepeer
  ssl_min_protocol_version ssl_max_protocol_version min_protocol_version max_protocol_version krbsrvname gsslib gssdelegation scram_client_key
  scram_server_key service servicefile target_session_attrs load_balance_hosts`.split(/\s+/),
);

/** Parameters that ORMs and poolers add to a URL for themselves; they say nothing about how to reach the server. */
const ofOthers = new Set(
  `schema pgbouncer connection_limit pool_timeout pool_size max_pool_size pool statement_cache_size socket_timeout uselibpqcompat sslaccept
  prepared_statements supa prepareThreshold currentSchema ApplicationName`.split(/\s+/),
);

/**
 * Reads a connection string in one of libpq's two forms: a URI (`postgres://…`) or keywords and values (`host=… dbname=…`).
 * Throws `config.invalid`; the message never repeats the string, because a password may stand anywhere in a mistyped one.
 */
export function parseConnectionString(text: string): ConnectionParameters {
  const trimmed = text.trim();
  const uri = /^postgres(?:ql)?:\/\//.exec(trimmed);
  if (uri) return parseUri(trimmed.slice(uri[0].length));
  if (trimmed.includes('=')) return parseKeywords(trimmed);
  throw invalid('it is neither a URI (postgres://user@host/database) nor of the form host=… dbname=…');
}

function parseUri(rest: string): ConnectionParameters {
  const authorityEnd = rest.search(/[/?]/);
  const authority = authorityEnd === -1 ? rest : rest.slice(0, authorityEnd);
  const tail = authorityEnd === -1 ? '' : rest.slice(authorityEnd);
  if (tail.includes('@') && !authority.includes('@') && authority.includes(':')) {
    throw invalid('the password seems to hold a / or ?; write it percent-encoded (%2F, %3F)');
  }
  // A password with an @ and one of / ? after it ends early here, and what follows makes no sense, or the path goes on as host and database would.
  const seemsCut = tail.includes('@') && /:.*@/.test(authority);
  if (!seemsCut) return parseParts(authority, tail);
  if (/@[^/?]*\//.test(tail)) throw invalid(encodePassword);
  try {
    return parseParts(authority, tail);
  } catch {
    throw invalid(encodePassword);
  }
}

const encodePassword =
  'the password seems to hold characters that must be percent-encoded (@ %40, : %3A, / %2F, ? %3F, # %23, % %25)';

function parseParts(authority: string, tail: string): ConnectionParameters {
  const parameters: ConnectionParameters = {};
  const at = authority.indexOf('@');
  if (at !== -1) {
    const [user = '', ...password] = authority.slice(0, at).split(':');
    set(parameters, 'user', decode(user));
    set(parameters, 'password', decode(password.join(':')));
  }
  const servers = authority.slice(at + 1);
  if (servers.includes('@')) throw invalid('the password seems to hold an @; write it percent-encoded (%40)');
  parseServers(servers, parameters);

  const [path = '', ...query] = tail.split('?');
  set(parameters, 'dbname', decode(path.slice(1)));
  for (const pair of query.join('?').split('&').filter(Boolean)) {
    const [key = '', ...value] = pair.split('=');
    if (value.length === 0) throw invalid(`the parameter ${JSON.stringify(key)} has no value`);
    const name = decode(key);
    if (name === 'ssl' && value[0] === 'true') set(parameters, 'sslmode', 'require');
    else setKnown(parameters, name, decode(value.join('=')));
  }
  return parameters;
}

function parseServers(servers: string, parameters: ConnectionParameters): void {
  const hosts: string[] = [];
  const ports: string[] = [];
  for (const server of servers.split(',')) {
    const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(server);
    if (!match)
      throw invalid('its host and port cannot be read; an IPv6 address stands in brackets: [::1]:5432');
    hosts.push(decode(match[1] ?? match[2] ?? ''));
    ports.push(match[3] ?? '');
  }
  if (hosts.some(Boolean)) parameters['host'] = hosts.join(',');
  if (ports.some(Boolean)) parameters['port'] = ports.join(',');
}

function parseKeywords(text: string): ConnectionParameters {
  const parameters: ConnectionParameters = {};
  const form = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/gsy;
  let end = 0;
  while (end < text.length) {
    form.lastIndex = end;
    const match = form.exec(text);
    if (!match)
      throw invalid(
        `it cannot be read from character ${end + 1} on; a value with spaces stands in single quotes`,
      );
    setKnown(parameters, match[1]!, (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/gs, '$1'));
    end = form.lastIndex;
  }
  return parameters;
}

function setKnown(parameters: ConnectionParameters, keyword: string, value: string): void {
  if (keywords.has(keyword)) set(parameters, keyword, value);
  else if (!ofOthers.has(keyword)) {
    throw invalid(`libpq knows no parameter ${JSON.stringify(keyword)}`);
  }
}

function set(parameters: ConnectionParameters, keyword: string, value: string): void {
  if (value.includes('\0')) throw invalid('it holds a NUL character');
  if (value !== '') parameters[keyword] = value;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new PgsiloError(
      'config.invalid',
      'the connection string cannot be read: a % is not followed by two hexadecimal digits',
      {
        cause,
        hint: 'A percent sign itself is written %25.',
      },
    );
  }
}

function invalid(why: string): PgsiloError {
  return new PgsiloError('config.invalid', `the connection string cannot be read: ${why}`, {
    hint: 'Write it as postgres://user:password@host:port/database, special characters percent-encoded.',
  });
}
