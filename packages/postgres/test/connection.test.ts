import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PgsiloError, redact } from '@pgsilo/plugin';
import { childConnection, parseConnection, passwordOf, type ServerSettings } from '../src/index.ts';

let home: string;
beforeAll(() => void (home = mkdtempSync(join(tmpdir(), 'pgsilo-connection-'))));
afterAll(() => rmSync(home, { recursive: true }));

const parse = (text: string, env: Record<string, string> = {}): ServerSettings =>
  parseConnection(text, { HOME: home, ...env });

describe('connection strings', () => {
  it.each([
    ['postgres://u:p%40ss@h:6543/d?application_name=x&sslmode=require', 'h', 6543, 'u', 'p@ss', 'd'],
    ['postgresql://u@h', 'h', 5432, 'u', undefined, 'u'],
    ['postgresql://u:pw12@[::1]:5433/a%20b', '::1', 5433, 'u', 'pw12', 'a b'],
    ['postgresql://u@%2Frun%2Fpg/d', '/run/pg', 5432, 'u', undefined, 'd'],
    ['postgresql://u@/d?host=/run/pg&port=5999', '/run/pg', 5999, 'u', undefined, 'd'],
    [`host=h user=u dbname='a\\'b' password = 'x y z'`, 'h', 5432, 'u', 'x y z', "a'b"],
    ['host=h user=u password=a\\ b port=1', 'h', 1, 'u', 'a b', 'u'],
  ])('%s', (text, host, port, user, password, database) => {
    const settings = parse(text);
    expect(settings.addresses).toEqual([{ host, port }]);
    expect([settings.user, settings.password?.reveal(), settings.database]).toEqual([
      user,
      password,
      database,
    ]);
    expect(settings.parameters).not.toHaveProperty('application_name');
  });

  it('tries several hosts in order', () => {
    expect(parse('postgresql://u@a:1,b:2/d').addresses).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ]);
    expect(parse('host=a,b hostaddr=10.0.0.1,10.0.0.2 port=7 user=u').addresses).toEqual([
      { host: 'a', hostaddr: '10.0.0.1', port: 7 },
      { host: 'b', hostaddr: '10.0.0.2', port: 7 },
    ]);
  });

  it('takes from the environment what the string does not say', () => {
    const env = {
      PGHOST: 'eh',
      PGPORT: '77',
      PGUSER: 'eu',
      PGPASSWORD: 'epass',
      PGDATABASE: 'ed',
      PGSSLMODE: 'disable',
      PGOPTIONS: '-c x=y',
    };
    const ambient = parse('postgres://', env);
    expect(ambient).toMatchObject({ addresses: [{ host: 'eh', port: 77 }], user: 'eu', database: 'ed' });
    expect(ambient.parameters).toEqual({ sslmode: 'disable', options: '-c x=y' });
    expect(parse('postgres://u@h/d?sslmode=require', env)).toMatchObject({
      user: 'u',
      database: 'd',
      parameters: { sslmode: 'require' },
    });
  });

  it('reads the service file and the password file', () => {
    writeFileSync(
      join(home, '.pg_service.conf'),
      '# c\n[other]\nhost=no\n[mine]\nhost=sh\nuser=su\nport=99\n[later]\nhost=no\n',
    );
    const settings = parse('service=mine dbname=d');
    expect(settings).toMatchObject({ addresses: [{ host: 'sh', port: 99 }], user: 'su', database: 'd' });
    expect(() => parse('service=nope')).toThrow(/"nope" is in none of/);

    const passfile = join(home, 'pass');
    writeFileSync(passfile, '# c\nsh:99:other:su:wrong\nsh:*:d:su:ri\\:ght\\\\\n*:*:*:*:last\n', {
      mode: 0o600,
    });
    const withFile = parse(`service=mine dbname=d passfile=${passfile}`);
    expect(passwordOf(withFile, withFile.addresses[0]!, 'd')?.reveal()).toBe('ri:ght\\');
    expect(passwordOf(withFile, withFile.addresses[0]!, 'x')?.reveal()).toBe('last');
    chmodSync(passfile, 0o644);
    expect(passwordOf(withFile, withFile.addresses[0]!, 'd')).toBeUndefined();
  });

  it.each([
    ['acme', /neither a URI/],
    ['host=h sslmod=verify-full', /no parameter "sslmod"/],
    ['postgres://u@h/d?sslmode=verify', /"verify" is none of/],
    ['postgres://u:secret/word@h/d', /password seems to hold a \//],
    ['postgres://u:secret@word@h/d', /password seems to hold an @/],
    ['postgres://u:p@secret:w/?#%rd@127.0.0.1:5432/d', /must be percent-encoded/],
    ['postgres://u:p@secret/w@h/d', /must be percent-encoded/],
    ['postgres://u:p@secret?w@h/d', /must be percent-encoded/],
    ['postgres://u:secret%zz@h/d', /two hexadecimal digits/],
    ['host=h password=secret word', /cannot be read from character/],
    ['postgres://u@h:99999/d', /"99999" is no port/],
    ['host=a,b port=1,2,3 user=u', /2 hosts and 3 ports/],
    ['host=h user=u sslpassword=secretsecret', /for all to see/],
  ])('refuses %s and does not repeat it', (text, message) => {
    const error = (() => {
      try {
        return parse(text);
      } catch (error) {
        return error;
      }
    })();
    expect(error).toBeInstanceOf(PgsiloError);
    expect((error as PgsiloError).code).toBe('config.invalid');
    expect((error as PgsiloError).message).toMatch(message);
    expect(JSON.stringify(error)).not.toMatch(/secret/);
  });

  it('lets parameters of ORMs be', () => {
    expect(parse('postgres://u@h/d?schema=public&connection_limit=5&pgbouncer=true').parameters).toEqual({});
  });
});

describe('connections of client programs', () => {
  const settings = parse('postgres://u:hunter2222@h:6543/d?sslmode=require&passfile=/x');

  it('never have a password or a bare name in the argument', () => {
    const { argument, env } = childConnection(settings, `x' user='root`, 'pgsilo r1');
    expect(env).toEqual({ PGPASSWORD: 'hunter2222' });
    expect(argument).toMatch(/^--dbname=connect_timeout='30' keepalives='1' /);
    const patient = parse('postgres://u@h/d?connect_timeout=90');
    expect(childConnection(patient, 'd', 'a').argument).toMatch(/^--dbname=connect_timeout='90' keepalives/);
    expect(argument).toContain(`dbname='x\\' user=\\'root'`);
    expect(argument).toContain(`sslmode='require'`);
    expect(argument).toContain(`application_name='pgsilo r1'`);
    expect(argument).not.toContain('hunter');
    expect(argument).not.toContain('passfile');
    expect(redact('it is hunter2222')).toBe('it is [secret]');
  });

  it('leave host, port and certificates to the far side', () => {
    const { argument } = childConnection(settings, 'd', 'a', {});
    expect(argument).not.toMatch(/host=|port=|sslmode=/);
    expect(childConnection(settings, 'd', 'a', { host: 'db', port: 1 }).argument).toMatch(
      /host='db' port='1'/,
    );
  });
});
