import { prune } from '@pgsilo/engine';
import type { PrunedBackup, PruneReport } from '@pgsilo/engine';
import { toPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError } from '@pgsilo/plugin';
import { errorDocument } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { jsonText } from '../output.ts';
import { reportError } from '../perform.ts';
import { prunedDocument, pruneColumns, pruneRow, pruneSums, sinkDocument } from '../prune-report.ts';
import { columnWidths, renderTable } from '../terminal/table.ts';
import type { Cell } from '../terminal/table.ts';

export interface PruneOptions {
  readonly dryRun?: boolean;
}

/** Rows are written as the work goes on, so that a catalog of a million backups needs no more memory than one of ten. */
const pageSize = 200;

/** `pgsilo prune`: applies retention. Exits 1 when something could not be removed or read. */
export async function pruneFile(
  invocation: Invocation,
  file: string,
  options: PruneOptions,
): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const dryRun = options.dryRun ?? false;
    const writer = invocation.json
      ? jsonWriter(pipeline.name, dryRun, invocation)
      : tableWriter(dryRun, invocation);
    const { readerGone } = invocation.out;
    // A dry run has no other result than what is read.
    const signal = dryRun ? AbortSignal.any([invocation.signal, readerGone]) : invocation.signal;
    let report: PruneReport;
    try {
      report = await prune(pipeline, {
        dryRun,
        signal,
        observe: (backup) => writer.add(backup),
      });
    } catch (thrown) {
      if (dryRun && readerGone.aborted) return 0;
      const error = toPgsiloError(thrown);
      await writer.fail(error);
      if (!writer.begun) throw error;
      await reportError(error, invocation);
      return error.exit;
    }
    await writer.end(report);
    return report.status === 'ok' ? 0 : 1;
  });
}

interface Writer {
  readonly begun: boolean;
  add(backup: PrunedBackup): Promise<void>;
  end(report: PruneReport): Promise<void>;
  fail(error: PgsiloError): Promise<void>;
}

/** One document, written piece by piece. */
function jsonWriter(pipeline: string, dryRun: boolean, { out }: Invocation): Writer {
  let begun = false;
  const head = `{\n  "pipeline": ${JSON.stringify(pipeline)},\n  "dryRun": ${dryRun},\n  "backups": [`;
  const close = async (rest: string): Promise<void> =>
    out.write(`${begun ? '\n  ]' : `${head}]`},\n  ${rest}\n}\n`);
  return {
    get begun() {
      return begun;
    },
    async add(backup) {
      const text = jsonText(prunedDocument(backup)).replaceAll('\n', '\n    ');
      await out.write(`${begun ? ',' : head}\n    ${text}`);
      begun = true;
    },
    async end({ sinks }) {
      await close(`"sinks": ${jsonText(sinks.map(sinkDocument)).replaceAll('\n', '\n  ')}`);
    },
    async fail(error) {
      if (begun) await close(`"error": ${JSON.stringify(errorDocument(error))}`);
    },
  };
}

function tableWriter(dryRun: boolean, invocation: Invocation): Writer {
  const { out, style, quiet } = invocation;
  // Of a dry run the table is what was asked for.
  const wanted = ({ outcome, error }: PrunedBackup): boolean =>
    !quiet || dryRun || outcome === 'failed' || error !== undefined;
  let rows: Cell[][] = [];
  let least: number[] | undefined;
  const flush = async (): Promise<void> => {
    if (rows.length === 0) return;
    const look = { style, width: out.width, titles: least === undefined, ...(least ? { least } : {}) };
    const text = renderTable(pruneColumns, rows, look);
    least = columnWidths(pruneColumns, rows, least);
    rows = [];
    await out.write(text);
  };
  return {
    get begun() {
      return least !== undefined;
    },
    async add(backup) {
      if (!wanted(backup)) return;
      rows.push(pruneRow(backup, invocation));
      if (rows.length >= pageSize) await flush();
    },
    async end(report) {
      await flush();
      if (quiet && !dryRun && report.status === 'ok') return;
      await out.write(`${least === undefined ? '' : '\n'}${pruneSums(report, invocation)}`);
    },
    fail: flush,
  };
}
