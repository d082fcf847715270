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
  /** Large objects were told apart: the backup has all that were the tenant's, be it none. Undefined: whose they were was not asked. */
  readonly largeObjects?: 'owner' | undefined;
  /** Format version of the archive, where it was stored as it came because it was not understood: `1.17`. */
  readonly archiveVersion?: string | undefined;
}

export interface Need {
  readonly name: string;
  readonly objects: number;
  readonly example: string;
  /** The unit that the schema is, where the job that says so reads it too; else it is called as its schema. */
  readonly unit?: string | undefined;
}

const need = z.object({
  name: z.string(),
  objects: z.int(),
  example: z.string(),
  unit: z.string().optional(),
});
const needs: z.ZodType<UnitNeeds> = z.object({
  encoding: z.string().min(1),
  localeProvider: z.enum(['libc', 'icu', 'builtin']),
  collate: z.string(),
  ctype: z.string(),
  locale: z.string().optional(),
  icuRules: z.string().optional(),
  needsSchemas: z.array(need),
  needsExtensions: z.array(need.extend({ schema: z.string() })),
  largeObjects: z.literal('owner').optional(),
  archiveVersion: z.string().optional(),
});

export interface AboutUnit {
  readonly references: readonly CrossReference[];
  /** The units of the job, by schema. */
  readonly units?: ReadonlyMap<string, string>;
  readonly leftOut?: readonly string[];
  readonly largeObjects?: UnitNeeds['largeObjects'];
  readonly archiveVersion?: string | undefined;
}

export function aboutOf(
  settings: DatabaseSettings,
  fingerprint: Fingerprint | undefined,
  { references, units, leftOut = [], largeObjects, archiveVersion }: AboutUnit,
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
      name === null ? [] : [{ name, objects, example, ...otherName(name, units?.get(name)) }],
    ),
    needsExtensions: references.flatMap(({ toExtension: name, extensionSchema: schema, objects, example }) =>
      name === null || schema === null ? [] : [{ name, schema, objects, example }],
    ),
    ...(largeObjects === undefined ? {} : { largeObjects }),
    ...(archiveVersion === undefined ? {} : { archiveVersion }),
    ...(leftOut.length > 0 ? { leftOut: [...leftOut] } : {}),
  };
}

function otherName(schema: string, unit: string | undefined): { readonly unit?: string } {
  return unit === undefined || unit === schema ? {} : { unit };
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
