export { clientPrograms } from './postgres/client-programs.ts';
export type { RunningProgram } from './postgres/client-programs.ts';
export { startPostgres } from './postgres/server.ts';
export type { StartOptions, ThrowawayPostgres } from './postgres/server.ts';
export { sharedPostgres } from './postgres/shared.ts';
export type { FreshDatabase, SharedPostgres } from './postgres/shared.ts';
export { folderForServer, serveFolder } from './postgres/serve-folder.ts';
export type { ServedFolder } from './postgres/serve-folder.ts';
export { findServerPrograms, serverUser } from './postgres/programs.ts';
