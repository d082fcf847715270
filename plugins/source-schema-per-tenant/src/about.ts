import { z } from 'zod';
import type { Json } from '@pgsilo/plugin';
import type { DatabaseSettings, Fingerprint } from '@pgsilo/postgres';
import type { CrossReference } from './references.ts';

/** How a database for the unit has to be made, and what has to be in it. Stands in the manifest, so that it is known before anything is fetched. */
export interface UnitNeeds {
  readonly encoding: string;
  readonly localeProvider: DatabaseSettings['localeProvider'];
  readonly collate: string;
  readonly ctype: string;
  readonly locale?: string | undefined;
  readonly icuRules?: string | undefined;
  readonly needsSchemas: readonly Need[];
  readonly needsExtensions: readonly (Need & { readonly schema: string })[];
}

export interface Need {
  readonly name: string;
  readonly objects: number;
  readonly example: string;
}

const need = z.object({ name: z.string(), objects: z.int(), example: z.string() });
const needs: z.ZodType<UnitNeeds> = z.object({
  encoding: z.string().min(1),
  localeProvider: z.enum(['libc', 'icu', 'builtin']),
  collate: z.string(),
  ctype: z.string(),
  locale: z.string().optional(),
  icuRules: z.string().optional(),
  needsSchemas: z.array(need),
  needsExtensions: z.array(need.extend({ schema: z.string() })),
});

export function aboutOf(
  settings: DatabaseSettings,
  fingerprint: Fingerprint | undefined,
  references: readonly CrossReference[],
  leftOut: readonly string[] = [],
): Record<string, Json> {
  const { encoding, localeProvider, collate, ctype, locale, icuRules } = settings;
  return {
    ...countsOf(fingerprint),
    encoding,
    localeProvider,
    collate,
    ctype,
    ...(locale === undefined ? {} : { locale }),
    ...(icuRules === undefined ? {} : { icuRules }),
    needsSchemas: references.flatMap(({ toSchema: name, objects, example }) =>
      name === null ? [] : [{ name, objects, example }],
    ),
    needsExtensions: references.flatMap(({ toExtension: name, extensionSchema: schema, objects, example }) =>
      name === null || schema === null ? [] : [{ name, schema, objects, example }],
    ),
    ...(leftOut.length > 0 ? { leftOut: [...leftOut] } : {}),
  };
}

/** What `aboutOf` wrote; undefined when it is not understood. */
export function readNeeds(about: unknown): UnitNeeds | undefined {
  return needs.safeParse(about).data;
}

function countsOf(fingerprint: Fingerprint | undefined): Record<string, Json> {
  if (!fingerprint) return {};
  const rows = fingerprint.tables.reduce((sum, table) => sum + BigInt(table.rows), 0n);
  return {
    tables: fingerprint.tables.length,
    rows: rows <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(rows) : rows.toString(),
  };
}
