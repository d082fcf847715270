import { existsSync, readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { pgsilo, pgsiloOk } from './services/pgsilo.ts';

const root = join(import.meta.dirname, '..');

interface Page {
  readonly name: string;
  readonly text: string;
}

describe('the documents', () => {
  const pages: Page[] = [];
  beforeAll(async () => {
    for await (const name of glob(['*.md', 'docs/**/*.md', 'examples/**/*.md'], { cwd: root })) {
      pages.push({ name, text: readFileSync(join(root, name), 'utf8') });
    }
  });

  it('link to what is there', () => {
    expect(pages.length).toBeGreaterThan(10);
    const broken = pages.flatMap(({ name, text }) =>
      [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)\s]+)\)/g)]
        .map(([, link]) => link!)
        .filter((link) => !linkIsGood(resolve(root, dirname(name), link.split('#')[0]!), link.split('#')[1]))
        .map((link) => `${name}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  it('name files and folders of the repository that are there', () => {
    const missing = pages
      .filter(({ name }) => name !== 'CHANGELOG.md')
      .flatMap(({ name, text }) =>
        [...text.matchAll(/`((?:packages|plugins|test|tools|examples|docs)\/[\w./-]+)`/g)]
          .map(([, path]) => path!)
          .filter((path) => !existsSync(join(root, path)))
          .map((path) => `${name}: ${path}`),
      );
    expect(missing).toEqual([]);
  });

  it('show commands and options that pgsilo has', async () => {
    const helps = new Map<string, string>();
    const wrong: string[] = [];
    let count = 0;
    for (const { name, text } of pages) {
      for (const line of commandsIn(text)) {
        const [, command = '', rest = ''] = /^pgsilo ((?:keys|wal) [a-z]+|\S+)(.*)$/.exec(line) ?? [];
        if (command.startsWith('-')) continue;
        count += 1;
        if (!helps.has(command))
          helps.set(command, (await pgsilo([...command.split(' '), '--help'], { cwd: root })).stdout);
        const known = new Set(helps.get(command)!.match(/--[a-z][a-z-]*/g));
        const unknown = (rest.match(/(?<=\s)--[a-z][a-z-]*/g) ?? []).filter((option) => !known.has(option));
        if (known.size === 0 || unknown.length > 0) wrong.push(`${name}: ${line}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(20);
  });

  it('hold pipeline files that are valid', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pgsilo-documents-'));
    try {
      const readme = pages.find(({ name }) => name === 'README.md')!.text;
      const files = [...readme.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml]) => yaml!);
      expect(files).toHaveLength(1);
      writeFileSync(join(folder, 'vigia.yaml'), files[0]!);
      const env = { VIGIA_URL: 'postgresql://backup@db.internal/vigia_master' };
      expect((await pgsiloOk(['validate', 'vigia.yaml'], { cwd: folder, env })).all).toContain(
        'ok  vigia.yaml',
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** Lines of code blocks that run pgsilo, without the prompts, schedules and conditions before it and the comments after. */
function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/```(?:sh|cron)\n(.*?)```/gs)].map(([, block]) => block!);
  return blocks
    .flatMap((block) => block.split('\n'))
    .map((line) => /\bpgsilo (?!\/)[^#|>]*/.exec(line)?.[0].trim())
    .filter((line) => line !== undefined);
}

function linkIsGood(path: string, anchor: string | undefined): boolean {
  if (!existsSync(path)) return false;
  if (anchor === undefined) return true;
  const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading!);
  const anchorOf = (heading: string): string =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .trim()
      .replaceAll(/\s/g, '-');
  return headings.map(anchorOf).includes(anchor);
}
