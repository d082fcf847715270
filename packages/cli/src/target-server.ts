import { PgsiloError, Secret } from '@pgsilo/plugin';

type Environment = Readonly<Record<string, string | undefined>>;

const standing = 'PGSILO_TO_SERVER';

/**
 * The connection string of `--to-server`, or of PGSILO_TO_SERVER without it; undefined when neither is set. It is remembered as a secret, so that it never prints.
 * Throws `usage.invalid` for a variable that is not set and for a password on the command line, where every user of the machine sees it.
 */
export function targetServer(option: string | undefined, env: Environment): string | undefined {
  const variable = option === undefined ? standing : /^env:(.*)$/s.exec(option)?.[1];
  if (variable === undefined) {
    if (holdsPassword(option!)) {
      throw new PgsiloError(
        'usage.invalid',
        '--to-server holds a password, and arguments are seen by everyone on the machine',
        {
          hint: 'Put the URL into an environment variable and say --to-server env:NAME.',
        },
      );
    }
    return option;
  }
  const value = env[variable];
  if (!value) {
    if (option === undefined) return undefined;
    throw new PgsiloError(
      'usage.invalid',
      `--to-server names the environment variable ${JSON.stringify(variable)}, which is not set`,
      {
        hint: `Set it to the URL of the server, then run the command again.`,
      },
    );
  }
  remember(value);
  return value;
}

/** Makes the whole string and the password in it unprintable, in the form in which it stands there and decoded. */
function remember(connection: string): void {
  for (const password of passwordsIn(connection)) {
    if (password === '') continue;
    void new Secret(password);
    void new Secret(decoded(password));
  }
  void new Secret(connection);
}

function holdsPassword(connection: string): boolean {
  return passwordsIn(connection).some((password) => password !== '');
}

/** In a URL before the host or as a parameter, or as a keyword of libpq's own form. */
function passwordsIn(connection: string): string[] {
  const url = /^\s*[a-z][a-z0-9+.-]*:\/\/(?:[^@/?#]*?:([^/?#]*)@)?[^?]*(?:\?(.*))?$/is.exec(connection);
  if (url) {
    const parameters = (url[2] ?? '').split('&').flatMap((pair) => {
      const [name = '', value = ''] = pair.split(/=(.*)/s);
      return isPassword(decoded(name)) ? [value] : [];
    });
    return [url[1] ?? '', ...parameters];
  }
  const keywords = /(?:^|\s)(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))/gs;
  return [...connection.matchAll(keywords)].flatMap(([, name = '', quoted, plain = '']) =>
    isPassword(name) ? [(quoted ?? plain).replaceAll(/\\(.)/gs, '$1')] : [],
  );
}

function isPassword(name: string): boolean {
  return /^(?:ssl)?password$/i.test(name);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
