import { isAbsolute, resolve } from 'node:path';
import type { Logger, Setup } from '@pgsilo/plugin';
import {
  childConnection,
  parseConnection,
  type ChildConnection,
  type ClientPrograms,
  type ServerSettings,
} from '@pgsilo/postgres';
import type { Options } from './options.ts';

/** What every part of the source works with. */
export interface SourceSetup {
  readonly options: Options;
  /** The server, with the database of `connection`. */
  readonly settings: ServerSettings;
  readonly programs: ClientPrograms;
  readonly pipeline: string;
  readonly log: Logger;
}

export function createSetup(options: Options, setup: Setup): SourceSetup {
  const { exec, execHost, execPort, execQuoting, bin } = options;
  // With `exec` the folder is one of the other machine.
  const folder = bin === undefined || exec || isAbsolute(bin) ? bin : resolve(setup.folder, bin);
  return {
    options,
    settings: parseConnection(options.connection),
    programs: { bin: folder, exec, execHost, execPort, execQuoting },
    pipeline: setup.pipeline,
    log: setup.log,
  };
}

/** How a client program connects to a database of the server, wherever the program runs. */
export function connectionForPrograms(
  setup: SourceSetup,
  settings: ServerSettings,
  database: string,
  applicationName: string,
): ChildConnection {
  const { exec, execHost, execPort } = setup.programs;
  return childConnection(
    settings,
    database,
    applicationName,
    exec ? { host: execHost, port: execPort } : undefined,
  );
}
