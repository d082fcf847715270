import { join, relative } from 'node:path';
import { binFolder, paint } from './stage.ts';

const schema = join(import.meta.dirname, '..', 'pipeline.schema.json');

/** The pipeline file of the demo, as the user finds it in `folder`. */
export const pipelineText = (folder: string): string => `\
# yaml-language-server: $schema=${relative(folder, schema)}
pipeline: vigia
source:
  use: database-per-tenant
  connection: \${file:connection}        # a file beside this one, which only you can read
  registry:
    database: vigia_master              # backed up too
    query: SELECT db_name AS database, subdominio AS unit, plan FROM clientes_saas WHERE is_active
transforms:
  - use: zstd
sinks:
  - { use: local, path: ./backups }
limits: { jobs: 2 }
`;

/** Where everything lies, and five commands that work as they stand. */
export function afterwards(shown: string, folder: string, keeps: boolean): string {
  const commands = keeps ? withServer : withoutServer;
  const lines = [
    '',
    paint('bold', 'Where everything lies'),
    `  ${join(shown, 'vigia.yaml')}   the pipeline file`,
    `  ${join(shown, 'backups')}      the backups; each manifest.json says what is in one`,
    '',
    paint('bold', 'Try next'),
    `  export PATH=${quote(binFolder)}:"$PATH"; cd ${quote(folder)}`,
    '',
    ...commands.map((command) => `  ${command}`),
  ];
  if (!keeps) {
    lines.push(
      '',
      'The server is stopped and gone. `npm run demo -- --keep` leaves it running until Ctrl-C,',
    );
    lines.push('with five commands for it.');
  }
  return lines.join('\n');
}

const withoutServer = [
  'pgsilo list vigia.yaml boreal',
  'pgsilo show vigia.yaml boreal',
  'pgsilo verify vigia.yaml --level decode',
  'pgsilo list vigia.yaml --json',
  'pgsilo plugins database-per-tenant',
];

const withServer = [
  'pgsilo backup vigia.yaml --where plan=demo',
  'pgsilo restore vigia.yaml cais',
  'pgsilo restore vigia.yaml delta --table public.ocorrencias --to delta_ocorrencias',
  'pgsilo backup vigia.yaml --only ilha --label release=2.4.0 --pin "before 2.4.0"',
  'pgsilo list vigia.yaml ilha',
];

function quote(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
