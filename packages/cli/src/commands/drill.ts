import { drill } from '@pgsilo/engine';
import type { DrillReport } from '@pgsilo/engine';
import { drillDocument, drillMarkdown, drillText } from '../drill-report.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { openReport } from '../report-file.ts';
import { watchVerify } from '../verify-watch.ts';

export interface DrillCommandOptions {
  readonly sink?: string;
  /** A file for the report: JSON where its name ends with `.json`, else Markdown. */
  readonly report?: string;
}

/** `pgsilo drill`: restores everything into scratch and measures. Exits 1 when a unit does not come back or an objective is missed. */
export async function drillFile(
  invocation: Invocation,
  file: string,
  options: DrillCommandOptions,
): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    // Before hours of work: whether there will be a place for what comes of it.
    const saved = options.report === undefined ? undefined : await openReport(options.report);
    const watch = await watchVerify(invocation);
    let report: DrillReport;
    try {
      report = await drill(pipeline, {
        ...(options.sink === undefined ? {} : { sink: options.sink }),
        signal: invocation.signal,
        observe: (event) => watch.observe(event),
      });
    } catch (error) {
      await saved?.discard();
      throw error;
    } finally {
      watch.end();
    }
    const document = drillDocument(report);
    await saved?.write(
      options.report!.endsWith('.json')
        ? `${JSON.stringify(document, undefined, 2)}\n`
        : drillMarkdown(report),
    );
    const failed = report.status === 'failed';
    if (invocation.json) await invocation.out.json(document);
    else if (!invocation.quiet || failed) await invocation.out.write(drillText(report, invocation));
    return failed ? 1 : 0;
  });
}
