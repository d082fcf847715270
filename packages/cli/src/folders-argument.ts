import { PgsiloError } from '@pgsilo/plugin';

/** What `--tablespace OLD=NEW` says: new folders by the old ones. A folder whose name holds `=` is written with `\=`. Throws `usage.invalid`. */
export function parseFolders(given: readonly string[]): Readonly<Record<string, string>> {
  const folders = new Map<string, string>();
  for (const text of given) {
    const match = /^((?:\\=|[^=])+)=((?:\\=|[^=])+)$/s.exec(text);
    const refuse = (message: string): never => {
      throw new PgsiloError('usage.invalid', `--tablespace ${JSON.stringify(text)} ${message}`, {
        hint: 'Write it as --tablespace /old/folder=/new/folder, an equals sign within a name as \\=.',
      });
    };
    if (!match) return refuse('does not name two folders');
    const [old, fresh] = [match[1]!, match[2]!].map((path) => path.replaceAll('\\=', '='));
    if (folders.has(old!)) refuse('names a folder that another one has named');
    folders.set(old!, fresh!);
  }
  return Object.fromEntries(folders);
}
