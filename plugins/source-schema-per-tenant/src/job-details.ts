import { z } from 'zod';
import type { Job, JsonObject } from '@pgsilo/plugin';
import { invalidPlan, showName } from '@pgsilo/postgres';

/** How a job is read. `pass`: one pg_dump of the database, split. `schema`: pg_dump of one schema alone. `rest`: all that is no tenant's, in a run whose tenants have jobs of their own. */
export type JobKind = 'pass' | 'schema' | 'rest';

/** What stands on a job besides its units. */
export interface JobDetails {
  readonly kind: JobKind;
  /** The schemas that are units of the plan, whichever were chosen: what is theirs is not the database's. None with `schema`. */
  readonly tenants: readonly string[];
}

const details: z.ZodType<JobDetails> = z.strictObject({
  kind: z.enum(['pass', 'schema', 'rest']),
  tenants: z.array(z.string()),
});

export function writeDetails({ kind, tenants }: JobDetails): JsonObject {
  return { kind, tenants: [...tenants] };
}

export function readDetails(job: Job): JobDetails {
  const found = details.safeParse(job.details).data;
  if (!found) throw invalidPlan(`job ${showName(job.id)} does not say how it is read`);
  return found;
}
