import { readFileSync } from 'node:fs';

/** Version of pgsilo, as its package says. */
export function ownVersion(): string {
  const about: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return (about as { version: string }).version;
}
