import { describe, expect, it } from 'vitest';
import { describeOptions, isPlugin } from '@pgsilo/plugin';
import { glob } from '@pgsilo/postgres/options';
import plugin from '../src/index.ts';
import { options } from '../src/options.ts';

const connection = 'postgres://u@h/d';

describe('options', () => {
  it('are described, each with an example', () => {
    expect(isPlugin(plugin)).toBe(true);
    const rows = describeOptions(options);
    expect(rows.map((row) => row.name)).toContain('registry.query');
    for (const row of rows)
      expect([row.name, row.description !== '', row.example !== undefined]).toEqual([row.name, true, true]);
    expect(rows.find((row) => row.name === 'connection')?.secret).toBe(true);
    expect(rows.find((row) => row.name === 'lockTimeout')?.default).toBe('60s');
  });

  it('have defaults', () => {
    const parsed = options.parse({ connection, match: '*' });
    expect(parsed).toMatchObject({ globals: true, fingerprint: 'counts', lockTimeout: 60_000 });
    expect(JSON.stringify(parsed)).not.toContain('postgres://');
  });

  it.each([
    [{}, /there is none/],
    [{ match: '*', databases: ['x'] }, /there are match and databases/],
    [{ match: 'a[' }, /no \] closes/],
    [{ match: 'a[z-a]' }, /backwards/],
    [{ match: '*', execHost: 'h' }, /means nothing without exec/],
    [{ match: '*', lockTimeout: '5' }, /expected a duration/],
    [{ match: '*', fingerprints: 'none' }, /fingerprints/],
  ])('refuse %j', (written, message) => {
    const { error } = options.safeParse({ connection, ...written });
    expect(error?.issues.map((issue) => issue.message).join()).toMatch(message);
  });
});

describe('connection', () => {
  it.each([' postgres://u@h/d', 'postgresql:///d', 'service=shop', 'host = h'])('%s is one', (written) => {
    expect(options.safeParse({ connection: written, match: '*' }).success).toBe(true);
  });

  it.each([
    ['$SHOP_URL', true],
    ['${SHOP_URL}', true],
    ['hunter-two', false],
    ['mysql://u:hunter-two@h/d?a=b', false],
  ])('%s is none, and is not repeated', (written, variable) => {
    const { error } = options.safeParse({ connection: written, match: '*' });
    expect(error?.issues).toMatchObject([
      { path: ['connection'], message: expect.stringContaining('such as postgresql://user@host/database') },
    ]);
    expect(error?.message.includes('${env:NAME}')).toBe(variable);
    expect(JSON.stringify(error)).not.toMatch(/SHOP_URL|hunter/);
  });
});

describe('glob', () => {
  it.each([
    ['*', ['', 'a', 'a\nb', 'ñ'], []],
    ['tenant_*', ['tenant_1', 'tenant_'], ['tenantX1', 'Tenant_1']],
    ['a?c', ['abc', 'añc', 'a😀c'], ['ac', 'abbc']],
    ['100%', ['100%'], ['1000']],
    ['a.b+c', ['a.b+c'], ['aXb+c', 'a.bbc']],
    ['[a-c]x', ['ax', 'cx'], ['dx', '-x']],
    ['[!a-c]x', ['dx'], ['ax']],
    ['[]a]', [']', 'a'], ['b']],
    ['a\\b', ['a\\b'], ['ab']],
    ['$(x)|{y}^', ['$(x)|{y}^'], ['']],
    ['**a**', ['a', 'xay'], ['']],
  ])('%s', (pattern, fits, doesNot) => {
    const matches = glob(pattern);
    expect(fits.filter((name) => !matches(name))).toEqual([]);
    expect(doesNot.filter(matches)).toEqual([]);
  });
});
