import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedPostgres, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { findTool, saferVersion } from '../src/index.ts';

let server: SharedPostgres;
let folder: string;
beforeAll(async () => {
  server = await sharedPostgres();
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-tools-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fake(name: string, program: string, output: string): string {
  const bin = join(folder, name);
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, program), `#!/bin/sh\necho '${output}'\n`);
  chmodSync(join(bin, program), 0o755);
  return bin;
}

describe('findTool', () => {
  it('finds the program of the version of the server where distributions put it', async () => {
    const tool = await findTool('pg_dump', server.major, {});
    expect(tool.major).toBe(server.major);
    expect(tool.version).toMatch(/^\d+\.\d+$/);
    expect(await findTool('pg_dump', server.major, {})).toBe(tool);
  });

  it('prefers the exact major, then the oldest that is newer', async () => {
    const path = process.env['PATH'];
    const fakes = ['99', '97']
      .map((major) => fake(major, 'pg_dump', `pg_dump (PostgreSQL) ${major}.1`))
      .join(':');
    process.env['PATH'] = `${fakes}:${path}`;
    try {
      expect(await findTool('pg_dump', server.major, {})).toMatchObject({ major: server.major });
      expect(await findTool('pg_dump', 96, {})).toMatchObject({ version: '97.1', major: 97 });
      await expect(findTool('pg_dump', 100, {})).rejects.toMatchObject({
        code: 'source.tool-version',
        hint: expect.stringContaining('postgresql-client-100'),
      });
    } finally {
      process.env['PATH'] = path;
    }
  });

  it('looks only in bin, and says when nothing is there', async () => {
    await expect(findTool('pg_dump', 15, { bin: folder })).rejects.toMatchObject({
      code: 'source.tool-missing',
      message: expect.stringContaining(folder),
    });
    const old = fake('old', 'pg_dump', 'pg_dump (PostgreSQL) 13.9 (Debian 13.9-1)');
    await expect(findTool('pg_dump', 15, { bin: old })).rejects.toMatchObject({
      code: 'source.tool-version',
      message: 'pg_dump 13.9 is older than the server, which is of version 15',
    });
    await expect(findTool('pg_dump', 15, { bin: old }, undefined, 'the archive')).rejects.toMatchObject({
      message: 'pg_dump 13.9 is older than the archive, which is of version 15',
    });
    const odd = fake('odd', 'pg_dump', 'Usage: whatever 1.2');
    await expect(findTool('pg_dump', 15, { bin: odd })).rejects.toMatchObject({
      code: 'source.tool-missing',
    });
  });

  it('asks a command prefix', async () => {
    const tool = await findTool('pg_dump', server.major, { exec: ['env', 'X=1'], bin: server.bin });
    expect(tool).toMatchObject({
      command: `${server.bin}/pg_dump`,
      prefix: ['env', 'X=1'],
      quoting: 'none',
      major: server.major,
    });
    await expect(findTool('pg_dump', 15, { exec: [join(folder, 'nothing')] })).rejects.toMatchObject({
      code: 'source.tool-missing',
    });
  });

  it('knows which minor releases have security defects', () => {
    const tool = { name: 'pg_dump', command: '', prefix: [], quoting: 'none' } as const;
    expect(saferVersion({ ...tool, version: '15.17', major: 15 })).toBe('15.18');
    expect(saferVersion({ ...tool, version: '15.18', major: 15 })).toBeUndefined();
    expect(saferVersion({ ...tool, version: '19.0', major: 19 })).toBeUndefined();
  });
});
