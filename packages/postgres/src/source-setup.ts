import { isAbsolute, resolve } from 'node:path';
import type { Logger, Secret, Setup } from '@pgsilo/plugin';
import { childConnection, parseConnection, type ChildConnection, type ServerSettings } from './connection.ts';
import type { ClientPrograms } from './tools.ts';

/** What every part of a source works with. */
export interface SourceSetup<Options extends ConnectionOptions = ConnectionOptions> {
  readonly options: Options;
  /** The server, with the database of `connection`. */
  readonly settings: ServerSettings;
  readonly programs: ClientPrograms;
  readonly pipeline: string;
  readonly log: Logger;
}

/** The options that every source has: see `connectionShape`. */
export interface ConnectionOptions extends ClientPrograms {
  readonly connection: Secret;
}

export function createSetup<Options extends ConnectionOptions>(
  options: Options,
  setup: Setup,
): SourceSetup<Options> {
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
  { programs }: Pick<SourceSetup, 'programs'>,
  settings: ServerSettings,
  database: string,
  applicationName: string,
): ChildConnection {
  const { exec, execHost, execPort } = programs;
  return childConnection(
    settings,
    database,
    applicationName,
    exec ? { host: execHost, port: execPort } : undefined,
  );
}
