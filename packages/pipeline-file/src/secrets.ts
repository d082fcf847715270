import { Secret } from '@pgsilo/plugin';
import type { Located } from './located.ts';
import { nearest } from './nearest.ts';
import type { Declared } from './option-schema.ts';

/** An unknown name as far from a secret's as this is taken for it. */
const tolerance = 0.5;

/**
 * Makes the values of secret options known as secrets, so that no message holds them, and says which pieces of the files a frame may show.
 * Done before anything is checked: what fails the checks is secret too.
 */
export function registerSecrets(node: Located, declared: Declared, inherited: boolean = false): void {
  const secret = inherited || declared.secret;
  if (node.kind === 'list') {
    for (const [index, item] of node.items.entries()) registerSecrets(item, declared.child(index), secret);
    return;
  }
  if (node.kind === 'map') {
    for (const [name, entry] of node.entries) {
      const inner = declared.child(name);
      const misspelt = !inner.known && nearSecret(name, declared);
      registerSecrets(entry.value, inner, secret || misspelt);
    }
    return;
  }
  const { file, start, end } = node.place;
  if (secret) {
    file.hidden.push({ start, end });
    if (node.value === null || typeof node.value === 'boolean') return;
    for (const value of secretsIn(String(node.value), node.filled?.parts ?? [])) new Secret(value).toString();
  } else if (declared.known) file.known.push({ start, end });
}

function nearSecret(name: string, declared: Declared): boolean {
  const secrets = declared.names.filter((candidate) => declared.child(candidate).secret);
  return nearest(name, secrets, tolerance) !== undefined;
}

/** The value itself, what was filled into it, and the password of a URL. User, host and database of a URL are no secrets: blotting out every "postgres" would spoil all messages. */
function secretsIn(value: string, parts: readonly string[]): string[] {
  if (!URL.canParse(value)) return [value, ...parts];
  const url = new URL(value);
  const open = [url.protocol.replace(':', ''), url.username, url.hostname, url.host, url.port, url.pathname];
  const harmless = new Set([...open, ...open.map(decoded), decoded(url.pathname).slice(1)]);
  const secrets = [
    value,
    url.password,
    decoded(url.password),
    ...parts.filter((part) => !harmless.has(part)),
  ];
  return secrets.filter((secret) => secret !== '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
