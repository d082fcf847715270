// Started by postgres.test.ts: starts a server, tells where it is, and then ends or waits as it was told.
import { startPostgres } from '../../src/postgres.ts';

const server = await startPostgres();
process.stdout.write(
  `${JSON.stringify({ port: server.port, folder: server.socketFolder, data: server.dataFolder })}\n`,
);
if (process.argv[2] === 'exit') process.exit(0);
if (process.argv[2] === 'throw') throw new Error('on purpose');
setInterval(() => undefined, 1000);
